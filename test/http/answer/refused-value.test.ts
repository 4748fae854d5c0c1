// A value that a route's schema took and the database refused: the caller is answered 422, and the log has it, once a minute.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ValidationFailed } from '../../../core/contract/index.ts'
import { createRefusedValueLog } from '../../../core/http/answer/refused-value.ts'
import { createLog } from '../../support/part.ts'
import { anyone, route, startHttp } from '../fixture.ts'

const refusedBy = (code: string) => new ValidationFailed([], { message: 'A value is not valid.', cause: Object.assign(new Error('time zone displacement out of range'), { code }) })

test('it is answered 422 and logged as a warning with its SQLSTATE and the route', async t => {
  const host = await startHttp(t, [
    route('get', '/zone', anyone, () => { throw refusedBy('22009') }),
    route('get', '/check', anyone, () => { throw refusedBy('23514') }),
    route('get', '/schema', anyone, () => { throw new ValidationFailed([{ path: 'query.a', message: 'Too big.' }]) })
  ])
  for (const path of ['zone', 'zone', 'check', 'schema']) assert.equal((await host.fetch(`/api/notes/${path}`)).status, 422)
  const warnings = host.lines.filter(({ level }) => level === 'warn')
  assert.deepEqual(warnings.map(({ sqlState, route }) => [sqlState, route]), [['22009', 'GET /api/notes/zone']])
  assert.match(warnings[0]?.message ?? '', /the schema of the route let through \(SQLSTATE 22009\)/)
})

test('each route and SQLSTATE has one line a minute, however many callers there are', () => {
  const entries: object[] = []
  let nowMs = 0
  const note = createRefusedValueLog(createLog(entries), () => nowMs)
  const flood = (): void => { for (let round = 0; round < 1_000; round++) note(refusedBy('22021'), { route: 'GET /api/notes' }) }
  flood()
  note(refusedBy('54000'), { route: 'GET /api/notes' })
  note(refusedBy('22021'), { route: 'GET /api/other' })
  assert.equal(entries.length, 3)
  nowMs = 60_000
  flood()
  assert.equal(entries.length, 4)
})
