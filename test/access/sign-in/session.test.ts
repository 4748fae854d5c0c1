// Signing in and out.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createPasswords } from '../../../core/access/credential/password.ts'
import { BadRequest, TooManyRequests, Unauthorized } from '../../../core/contract/index.ts'
import type { AnswerableError } from '../../../core/contract/index.ts'
import { clock } from '../../support/part.ts'
import { until } from '../../support/until.ts'
import { adminPassword, cheapPasswords, counting, openHouse, origin, signIn } from '../fixture.ts'
import type { House } from '../fixture.ts'

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

test('an unknown name, a wrong password and an inactive user get the same answer and a log line', async (t) => {
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

/** Interleaved, because what else the machine does comes and goes. */
async function compareTimes (t: TestContext, rounds: number): Promise<number> {
  const house = await openHouse(t)
  await house.addUser('ada')
  const passwords = createPasswords(clock)
  await house.rows('update users set password_hash = $1, is_active = name = \'admin\'', [await passwords.hash(adminPassword)])
  const room = await house.openRoom({ passwords })
  const took = async (name: string, password: string): Promise<number> => {
    // A limit that is reached answers at once, and is not what is measured.
    await house.rows('delete from bulkhead.rate_limit')
    const start = performance.now()
    await refusal(room.access.login({ name, password }, { address: undefined, userAgent: undefined }))
    return performance.now() - start
  }
  const samples: Record<string, number[]> = { wrong: [], unknown: [], inactive: [] }
  for (let round = 0; round < rounds; round++) {
    await house.clock.advance(2_000)
    samples.wrong?.push(await took('admin', 'wrong password'))
    samples.unknown?.push(await took(`nobody-${round}`, 'wrong password'))
    samples.inactive?.push(await took('ada', adminPassword))
  }
  const { wrong = [], unknown = [], inactive = [] } = samples
  return Math.max(...[[wrong, unknown], [wrong, inactive], [unknown, inactive]].map(([a = [], b = []]) => Math.abs(rankScore(a, b))))
}

/** Mann and Whitney's U as a normal deviate: beyond ±4 the one is slower than the other, beyond doubt. */
function rankScore (a: readonly number[], b: readonly number[]): number {
  const wins = a.reduce((sum, x) => sum + b.reduce((more, y) => more + (x > y ? 1 : x === y ? 0.5 : 0), 0), 0)
  return (wins - a.length * b.length / 2) / Math.sqrt(a.length * b.length * (a.length + b.length + 1) / 12)
}

test('unknown, wrong and inactive take the same time: no rank test can tell them apart', async (t) => {
  // With samples this few only a difference that anyone could see shows, such as a name that costs no hash.
  assert.ok(await compareTimes(t, process.env.BULKHEAD_LONG === undefined ? 12 : 200) < 4)
})

test('the rank test sees a difference of a tenth where there is one', () => {
  const times = Array.from({ length: 40 }, (_, index) => 60 + (index * 7) % 5)
  assert.ok(Math.abs(rankScore(times, times.map(ms => ms * 1.1))) > 4)
  assert.ok(Math.abs(rankScore(times, times.toReversed())) < 1)
})

test('a session that is used lives for 24 hours, and no longer although it was just used', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { token } = await signIn(room)
  for (let hours = 4; hours < 24; hours += 4) {
    await house.clock.advance(dayMs / 6)
    assert.ok(await room.authenticate(token), `after ${hours} hours`)
    await endIsPutOff(house, Math.min(dayMs, (hours + 8) * 3_600_000))
  }
  await house.clock.advance(dayMs / 6 - 500)
  assert.ok(await room.authenticate(token))
  await house.clock.advance(499)
  assert.ok(await room.authenticate(token))
  await house.clock.advance(1)
  assert.equal(await room.authenticate(token), undefined)
})

test('a session that nobody uses is over after eight hours, or after what the setting says', async (t) => {
  const house = await openHouse(t)
  for (const [room, idleMs] of [[await house.openRoom(), 8 * 3_600_000], [await house.openRoom({ sessionIdleMs: 60_000 }), 60_000]] as const) {
    const { token } = await signIn(room)
    await house.clock.advance(idleMs - 1)
    assert.ok(await room.authenticate(token))
    const again = await signIn(room)
    await house.clock.advance(idleMs)
    assert.equal(await room.authenticate(again.token), undefined)
  }
})

/** Written in the background, and once a minute at most. */
async function endIsPutOff ({ rows }: House, afterLoginMs: number): Promise<void> {
  await until(async () => {
    const [row] = await rows('select extract(epoch from expires_at - created_at) * 1000 as life from auth_sessions order by created_at desc limit 1')
    return Math.abs(Number(row?.life) - afterLoginMs) <= 60_000
  })
}

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

test('ten wrong passwords for a name, from anywhere, delay even the right one by five minutes', async (t) => {
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

test('ten wrong attempts from an address, whatever the names, delay the address, not the names', async (t) => {
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

test('failed sign-ins of others never keep users out where they have signed in from before', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const home = { address: '198.51.100.7', userAgent: undefined }
  await room.access.login({ name: 'admin', password: adminPassword }, home)
  for (let index = 0; index < 20; index++) {
    await refusal(room.access.login({ name: 'admin', password: 'wrong password' }, { address: `192.0.2.${index}`, userAgent: undefined }))
    await refusal(room.access.login({ name: `other-${index}`, password: 'wrong password' }, home))
  }
  const elsewhere = { address: '203.0.113.1', userAgent: undefined }
  assert.ok(await refusal(room.access.login({ name: 'admin', password: adminPassword }, elsewhere)) instanceof TooManyRequests)
  await room.access.login({ name: 'admin', password: adminPassword }, home)

  // Guessing from there is held back as anywhere.
  for (let index = 0; index < 10; index++) {
    assert.ok(await refusal(room.access.login({ name: 'admin', password: 'wrong password' }, home)) instanceof Unauthorized)
  }
  assert.ok(await refusal(room.access.login({ name: 'admin', password: adminPassword }, home)) instanceof TooManyRequests)
})

test('what is known of a network is forgotten after 90 days', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const home = { address: '198.51.100.7', userAgent: undefined }
  const known = async (): Promise<unknown> => (await house.rows('select network from bulkhead.known_network')).map(({ network }) => network)
  await room.access.login({ name: 'admin', password: adminPassword }, home)
  assert.deepEqual(await known(), ['198.51.100.7'])
  await house.clock.advance(90 * dayMs)
  await room.access.login({ name: 'admin', password: adminPassword }, { address: '2001:db8::1', userAgent: undefined })
  assert.deepEqual(await known(), ['2001:db8:0:0::/64'])
})

test('addresses of one IPv6 network share its limit', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const fail = (host: number): Promise<AnswerableError> =>
    refusal(room.access.login({ name: `nobody-${host}`, password: 'wrong password' }, { address: `2001:db8:1:2::${host.toString(16)}`, userAgent: undefined }))
  for (let host = 1; host <= 10; host++) assert.ok(await fail(host) instanceof Unauthorized)
  assert.ok(await fail(11) instanceof TooManyRequests)
  await room.access.login({ name: 'admin', password: adminPassword }, { address: '2001:db8:1:3::1', userAgent: undefined })
})

test('a flood against a full limit asks the database for it once a second', async (t) => {
  const house = await openHouse(t)
  const asked = counting(house.postgres)
  const room = await house.openRoom({ postgres: asked.postgres })
  for (let index = 0; index < 11; index++) await refusal(room.access.login({ name: 'admin', password: 'wrong password' }, origin))
  const before = asked.count
  const flood = async (): Promise<void> => {
    for (let index = 0; index < 100; index++) await refusal(room.access.login({ name: 'admin', password: 'wrong password' }, origin))
  }
  await flood()
  assert.equal(asked.count, before)
  await house.clock.advance(1_000)
  await flood()
  assert.ok(asked.count > before && asked.count <= before + 4, `${asked.count - before} queries`)
})

test('a password that changes while someone signs in with the old one opens nothing', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  // Its cost is the time in which it changes.
  const [old, next] = [await createPasswords(clock).hash(adminPassword), await cheapPasswords.hash('another password')]
  await house.rows('update users set password_hash = $1', [old])
  const login = refusal(room.access.login({ name: 'admin', password: adminPassword }, origin))
  await until(async () => (await house.rows('select 1 from bulkhead.rate_limit where key like \'login:name:%\'')).length > 0)
  await house.rows('update users set password_hash = $1', [next])
  assert.ok(await login instanceof Unauthorized)
  assert.deepEqual(await house.rows('select count(*)::int as count from auth_sessions'), [{ count: 0 }])
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
