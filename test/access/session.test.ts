// Signing in and out.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashPassword } from '../../core/access/password.ts'
import { BadRequest, TooManyRequests, Unauthorized } from '../../core/contract/index.ts'
import type { AnswerableError } from '../../core/contract/index.ts'
import { adminPassword, openHouse, origin, signIn } from './house.ts'

const dayMs = 24 * 3_600_000

const refusal = async (attempt: Promise<unknown>): Promise<AnswerableError> =>
  attempt.then(() => assert.fail('it was not refused'), (error: unknown) => error as AnswerableError)

test('the right password opens a session for 24 hours, and the log says so', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const session = await room.access.login({ name: 'admin', password: adminPassword }, origin)
  assert.match(session.token, /^plat_[0-9a-f]{64}$/)
  assert.equal(Date.parse(session.expiresAt), house.clock.now() + dayMs)
  assert.deepEqual([session.user.name, session.user.email], ['admin', 'admin@localhost'])

  const user = await room.authenticate(session.token)
  assert.equal(user?.id, session.user.id)
  assert.equal(user.signedInBy.kind, 'session')
  assert.ok(user.permissions.has('admin:users') && user.permissions.has('project:read'))
  const [row] = await house.rows('select user_id, host(ip_addr) as address, user_agent, token_hash from auth_sessions')
  assert.deepEqual([row?.user_id, row?.address, row?.user_agent], [session.user.id, origin.address, origin.userAgent])
  assert.ok(!String(row?.token_hash).includes(session.token.slice(5)), 'the token itself is not kept')
  assert.deepEqual(await house.rows('select actor_name, action, resource, host(ip_addr) as address from audit_log where action like \'auth.%\''),
    [{ actor_name: 'admin', action: 'auth.login', resource: 'session', address: origin.address }])
})

test('an unknown name, a wrong password and an inactive user get the same answer, and a line in the log each', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const adaId = await house.addUser('ada')
  await house.rows('update users set is_active = false where name = \'ada\'')

  const refusals = []
  for (const [name, password] of [['nobody', adminPassword], ['admin', 'wrong password'], ['ada', adminPassword], ['admin', 'short'], ['ad\0min', adminPassword]] as const) {
    refusals.push(await refusal(room.access.login({ name, password }, origin)))
  }
  for (const error of refusals) assert.ok(error instanceof Unauthorized)
  assert.equal(new Set(refusals.map(({ message, status, code }) => JSON.stringify([message, status, code]))).size, 1)

  const log = await house.rows('select actor_id, actor_name, detail from audit_log where action = \'auth.login_failed\' order by created_at')
  assert.deepEqual(log.map(({ actor_name: name }) => name), ['nobody', 'admin', 'ada', 'admin', 'ad�min'])
  assert.equal(log[0]?.actor_id, '00000000-0000-0000-0000-000000000000')
  assert.equal(log[2]?.actor_id, adaId)
  assert.ok(!JSON.stringify(log).includes(adminPassword), 'no password in the log')
  assert.deepEqual(await house.rows('select count(*)::int as count from auth_sessions'), [{ count: 0 }])
})

test('a name that nobody has costs as much work as one that someone has', {
  skip: process.env.BULKHEAD_LONG === undefined && 'compares times, so it wants a quiet machine; BULKHEAD_LONG=1 runs it'
}, async (t) => {
  const house = await openHouse(t)
  await house.rows('update users set password_hash = $1', [await hashPassword(adminPassword)])
  const room = await house.openRoom()
  const took = async (name: string): Promise<number> => {
    const start = performance.now()
    await refusal(room.access.login({ name, password: 'wrong password' }, { address: undefined, userAgent: undefined }))
    return performance.now() - start
  }
  const known: number[] = []
  const unknown: number[] = []
  for (let round = 0; round < 4; round++) {
    known.push(await took('admin'))
    unknown.push(await took(`nobody-${round}`))
  }
  // Without the work it would be less than a tenth.
  assert.ok(Math.min(...unknown) > Math.min(...known) / 2, `${Math.min(...unknown)} ms and ${Math.min(...known)} ms`)
})

test('a session ends when its time is over, although it was just used', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { token } = await signIn(room)
  await house.clock.advance(dayMs - 500)
  assert.ok(await room.authenticate(token))
  await house.clock.advance(499)
  assert.ok(await room.authenticate(token))
  await house.clock.advance(1)
  assert.equal(await room.authenticate(token), undefined)
})

test('signing out ends this session at once and no other', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const here = await signIn(room)
  const there = await signIn(room)
  await room.access.logout(here.user, origin)
  assert.equal(await room.authenticate(here.token), undefined)
  assert.ok(await room.authenticate(there.token))
  await room.access.logout(here.user, origin)
  assert.deepEqual(await house.rows('select count(*)::int as count from audit_log where action = \'auth.logout\''), [{ count: 1 }])
})

test('an API token has no session to end', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const { token } = await room.access.createToken(user, { name: 'ci', scopes: [], expiresInDays: 1 }, origin)
  const byToken = await room.authenticate(token)
  assert.ok(byToken)
  assert.ok(await refusal(room.access.logout(byToken, origin)) instanceof BadRequest)
})

test('signing in clears the user\'s sessions that are over', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await signIn(room)
  await house.clock.advance(dayMs)
  await signIn(room)
  assert.deepEqual(await house.rows('select count(*)::int as count from auth_sessions'), [{ count: 1 }])
})

test('ten wrong passwords for a name, from anywhere and at once, and even the right one has to wait until five minutes are over', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const other = await house.openRoom()
  const login = (password: string, index: number): Promise<unknown> =>
    (index % 2 === 0 ? room : other).access.login({ name: 'admin', password }, { address: `192.0.2.${index}`, userAgent: undefined })

  const errors = await Promise.all(Array.from({ length: 15 }, (_, index) => refusal(login('wrong password', index))))
  assert.equal(errors.filter(error => error instanceof Unauthorized).length, 10)
  assert.equal(errors.filter(error => error instanceof TooManyRequests).length, 5)

  await house.clock.advance(200_000)
  const tooEarly = await refusal(login(adminPassword, 100))
  assert.ok(tooEarly instanceof TooManyRequests)
  assert.equal(tooEarly.retryAfterMs, 100_000, 'the attempts refused meanwhile did not prolong it')
  await house.clock.advance(100_000)
  await login(adminPassword, 100)
})

test('ten wrong attempts from an address, whatever the names, and that address has to wait; the names do not', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const login = (name: string, password: string, address: string): Promise<unknown> =>
    room.access.login({ name, password }, { address, userAgent: undefined })
  for (let index = 0; index < 10; index++) {
    await house.addUser(`user-${index}`)
    assert.ok(await refusal(login(`user-${index}`, 'wrong password', '198.51.100.1')) instanceof Unauthorized)
  }
  for (let index = 0; index < 20; index++) assert.ok(await refusal(login('admin', adminPassword, '198.51.100.1')) instanceof TooManyRequests)
  await login('admin', adminPassword, '198.51.100.2')
})

test('who signs in rightly, however often, is never told to wait', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  for (let index = 0; index < 25; index++) await room.access.login({ name: 'admin', password: adminPassword }, origin)
})

test('counters that are over are cleared away', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await refusal(room.access.login({ name: 'admin', password: 'wrong password' }, origin))
  await house.clock.advance(300_000)
  await refusal(room.access.login({ name: 'nobody', password: adminPassword }, { address: undefined, userAgent: undefined }))
  assert.deepEqual(await house.rows('select count(*)::int as count from bulkhead.rate_limit'), [{ count: 1 }])
})

test('an address that is none, or that has a zone, does not stop anyone from signing in', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  for (const address of [undefined, '', 'unknown', 'fe80::1%eth0', '2001:db8::1']) {
    await room.access.login({ name: 'admin', password: adminPassword }, { address, userAgent: 'x'.repeat(5_000) })
  }
  const log = await house.rows('select host(ip_addr) as address from audit_log where action = \'auth.login\' order by created_at')
  assert.deepEqual(log.map(({ address }) => address), [null, null, null, 'fe80::1', '2001:db8::1'])
})
