// How many lines of the log unknown callers can cause, and that those of known callers are all there.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServiceUnavailable } from '../../core/contract/index.ts'
import { createLineBudget } from '../../core/http/line-budget.ts'
import { anyone, asReader, createMemoryLog, route, startHttp, until } from './fixture.ts'

const routes = [
  route('get', '/broken', anyone, () => { throw new Error('a fault') }),
  route('get', '/away', anyone, () => { throw new ServiceUnavailable('It is away.') }),
  route('get', '/mine', { permission: 'note:read' }, () => { throw new Error('a fault') })
]
const loud = ['info', 'warn', 'error']

test('unknown callers that fail cause a bounded number of lines, and known callers one each', async t => {
  const host = await startHttp(t, routes)
  const lines = (path: string): number => host.lines.filter(line => loud.includes(line.level) && JSON.stringify(line).includes(path)).length
  const ask = (path: string, init: RequestInit = {}): Promise<unknown> =>
    Promise.all(Array.from({ length: 100 }, async () => (await host.fetch(path, init)).text()))
  for (const path of ['/api/notes/broken', '/api/notes/away']) {
    await ask(path)
    await until(() => host.lines.filter(line => line.message === 'answered' && line['url'] === path).length === 100)
    assert.ok(lines(path) > 0 && lines(path) <= 60, `${lines(path)} lines of ${path}`)
  }
  await ask('/api/notes/mine', { headers: asReader })
  await until(() => lines('/api/notes/mine') >= 200)
  assert.equal(lines('/api/notes/mine'), 200)
})

test('a long URL is in the log with its beginning', async t => {
  const host = await startHttp(t, routes)
  await host.fetch(`/api/notes/broken?${'x'.repeat(8_000)}`)
  await until(() => host.lines.some(line => line.message === 'answered'))
  const line = host.lines.find(({ message }) => message === 'answered')
  assert.match(String(line?.['url']), /^\/api\/notes\/broken\?x{900,}…$/)
  assert.ok(JSON.stringify(line).length < 1_500)
})

test('what was left out is told once, with how many lines for each place', t => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { log, lines } = createMemoryLog()
  const budget = createLineBudget(log)
  const granted = Array.from({ length: 100 }, () => budget.take('failed', 'GET /a')).filter(Boolean).length
  assert.ok(budget.take('failed', 'GET /b'))
  t.mock.timers.tick(60_000)
  assert.deepEqual(lines.map(({ place, lines: left }) => [place, left]), [['GET /a', 100 - granted]])
  assert.ok(budget.take('failed', 'GET /a'), 'another minute has begun')
  t.mock.timers.tick(60_000)
  assert.equal(lines.length, 1)
})
