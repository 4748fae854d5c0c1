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

test('requests that fail for one reason are logged once a second with a count, beside the access log', async t => {
  const host = await startHttp(t, routes)
  const answered = (path: string) => host.lines.filter(line => line.level === 'info' && line.message === 'answered' && line['route'] === path)
  const told = (path: string) => host.lines.filter(line => loud.includes(line.level) && line.message !== 'answered' && JSON.stringify(line).includes(path))
  const ask = (path: string, init: RequestInit = {}): Promise<unknown> =>
    Promise.all(Array.from({ length: 100 }, async () => (await host.fetch(path, init)).text()))
  for (const path of ['/api/notes/broken', '/api/notes/away']) {
    await ask(path)
    await until(() => answered(path).length === 100)
    assert.ok(told(path).length > 0 && told(path).length < 10, `${told(path).length} lines of ${path}`)
  }
  const beganAt = performance.now()
  await ask('/api/notes/mine', { headers: asReader })
  const seconds = Math.ceil((performance.now() - beganAt) / 1_000)
  const failed = () => told('/api/notes/mine').filter(({ level }) => level === 'error')
  const more = () => told('/api/notes/mine').filter(({ level }) => level === 'warn').map(({ count }) => Number(count))
  await until(() => failed().length + more().reduce((sum, count) => sum + count, 0) === 100)
  assert.ok(failed().length <= seconds + 1)
  assert.deepEqual([answered('/api/notes/mine').length, answered('/api/notes/mine')[0]?.['user'], answered('/api/notes/mine')[0]?.['plugin']], [100, 'reader', 'notes'])
})

test('a long path without a route is logged with its beginning, and never a query', async t => {
  const host = await startHttp(t, routes)
  await host.fetch(`/api/${'x'.repeat(8_000)}?hunter2=hunter2`)
  await host.fetch('/api/notes/broken?hunter2=hunter2')
  await until(() => host.lines.filter(line => line.message === 'answered').length === 2)
  const line = host.lines.find(({ message }) => message === 'answered')
  assert.match(String(line?.['path']), /^\/api\/x{200,}…$/)
  assert.doesNotMatch(JSON.stringify(host.lines), /hunter2/)
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
