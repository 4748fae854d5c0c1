// Names and e-mail addresses without regard to case: what is refused, who signs in, and what becomes of users who were there before.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prepareAccess, warnOfPairs } from '../../../core/access/index.ts'
import { Conflict, TooManyRequests, Unauthorized, ValidationFailed } from '../../../core/contract/index.ts'
import { createLog } from '../../support/part.ts'
import { adminPassword, openDatabase, openHouse, origin, signIn, signInAs } from '../fixture.ts'

const newUser = { name: 'grace', email: 'grace@example.org', password: 'correct horse battery' }
const saysName = (error: unknown): boolean => error instanceof Conflict && error.message.includes('name')
const saysEmail = (error: unknown): boolean => error instanceof Conflict && error.message.includes('e-mail')

test('a name or an e-mail address that differs only in case is a conflict, made or changed', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  const { users } = room.access
  for (const name of ['Admin', 'ADMIN']) await assert.rejects(users.create(admin, { ...newUser, name }, origin), saysName, name)
  await assert.rejects(users.create(admin, { ...newUser, email: 'ADMIN@localhost' }, origin), saysEmail)
  const { id } = await users.create(admin, { ...newUser, email: 'GRÄCE@example.org' }, origin)
  const other = { ...newUser, name: 'other' }
  for (const email of ['gräce@example.org', 'gra\u0308ce@EXAMPLE.org']) await assert.rejects(users.create(admin, { ...other, email }, origin), saysEmail, email)
  const { id: otherId } = await users.create(admin, other, origin)
  await assert.rejects(users.change(admin, otherId, { name: 'GRACE' }, origin), saysName)
  await assert.rejects(users.change(admin, otherId, { email: 'gräcE@example.org' }, origin), saysEmail)
  assert.equal((await users.change(admin, id, { name: 'Grace', email: 'Grace@example.net' }, origin)).name, 'Grace')
  assert.equal((await users.change(admin, otherId, { email: 'gräcE@example.org' }, origin)).email, 'gräcE@example.org')
  await users.change(admin, id, { name: 'hopper' }, origin)
  assert.equal((await users.change(admin, otherId, { name: 'GRACE' }, origin)).name, 'GRACE')
})

test('of users who come at once with one name in different cases one is made', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  const names = ['twin', 'Twin', 'TWIN', 'tWIN']
  const made = await Promise.allSettled(names.map((name, at) => room.access.users.create(admin, { ...newUser, name, email: `${at}@example.org` }, origin)))
  assert.deepEqual(made.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected', 'rejected'])
  for (const result of made) if (result.status === 'rejected') assert.ok(saysName(result.reason), String(result.reason))
  assert.deepEqual(await house.rows('select count(*)::int as count from users where lower(name) = \'twin\''), [{ count: 1 }])
})

test('a user signs in with the name in any case, and its spellings share one count of failures', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  await room.access.users.create(admin, newUser, origin)
  for (const name of ['grace', 'Grace', 'GRACE']) assert.equal((await room.access.login({ name, password: newUser.password }, origin)).user.name, 'grace')
  await assert.rejects(room.access.login({ name: 'ｇrace', password: newUser.password }, origin), Unauthorized)
  const spellings = ['grace', 'Grace', 'gRace', 'grAce', 'graCe', 'gracE', 'GRace', 'gRAce', 'grACe', 'graCE', 'GRACE']
  const failures: unknown[] = []
  for (const [at, name] of spellings.entries()) {
    await room.access.login({ name, password: 'not the password' }, { ...origin, address: `198.51.100.${at}` }).catch((error: unknown) => failures.push(error))
  }
  assert.ok(failures.slice(0, 10).every(error => error instanceof Unauthorized))
  assert.ok(failures[10] instanceof TooManyRequests)
})

test('earlier users who differ only in case are named at start and sign in by the exact name', async (t) => {
  const house = await openHouse(t)
  const [small, capital] = [await house.addUser('ada'), await house.addUser('Ada')]
  await house.rows('update users set email = \'ÅDA@localhost\' where id = $1', [capital])
  await house.rows('update users set email = \'åda@localhost\' where id = $1', [small])
  await prepareAccess(house.postgres)
  const entries: { message?: string }[] = []
  await warnOfPairs(house.postgres, createLog(entries))
  assert.equal(entries.length, 2)
  assert.match(entries[0]?.message ?? '', /^2 users have names that differ only in case: "ada", "Ada"\. Each signs in with the name as it is written/)
  assert.match(entries[1]?.message ?? '', /^2 users have e-mail addresses that differ only in case: "åda@localhost", "ÅDA@localhost"/)

  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  for (const [name, id] of [['ada', small], ['Ada', capital]] as const) assert.equal((await signInAs(room, name)).user.id, id)
  await assert.rejects(room.access.login({ name: 'ADA', password: adminPassword }, origin), Unauthorized)
  await assert.rejects(room.access.users.create(admin, { ...newUser, name: 'aDA' }, origin), saysName)
  await assert.rejects(room.access.users.create(admin, { ...newUser, email: 'åDA@localhost' }, origin), saysEmail)

  await room.access.users.change(admin, small, { name: 'lovelace', email: 'lovelace@example.org' }, origin)
  assert.equal((await signInAs(room, 'ADA')).user.id, capital)
  await assert.rejects(room.access.users.create(admin, { ...newUser, name: 'aDA' }, origin), saysName)
  const after: object[] = []
  await warnOfPairs(house.postgres, createLog(after))
  assert.deepEqual(after, [])
})

test('a write of an older replica counts at once for names, and for sign-in from the next start', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  const ada = await house.addUser('Ada')
  await assert.rejects(room.access.users.create(admin, { ...newUser, name: 'ada' }, origin), saysName)
  await assert.rejects(room.access.users.create(admin, { ...newUser, email: 'ada@LOCALHOST' }, origin), saysEmail)
  await prepareAccess(house.postgres)
  assert.equal((await signInAs(room, 'ADA')).user.id, ada)

  await house.rows('update users set name = \'lovelace\' where id = $1', [ada])
  await assert.rejects(room.access.login({ name: 'ADA', password: adminPassword }, origin), Unauthorized)
  const { id } = await room.access.users.create(admin, { ...newUser, name: 'aDA' }, origin)
  assert.equal((await room.access.login({ name: 'ADA', password: newUser.password }, origin)).user.id, id)
  await prepareAccess(house.postgres)
  assert.equal((await signInAs(room, 'Lovelace')).user.id, ada)
})

test('a thousand users of an earlier version get keys in one start, and the next finds none left', async (t) => {
  const database = await openDatabase(t)
  await database.rows('insert into users (name, email, password_hash) select \'User-\' || n, \'User-\' || n || case when n % 10 = 0 then \'@ÖRT\' else \'@ORT\' end, \'\' from generate_series(1, 1000) as n')
  await Promise.all([prepareAccess(database.postgres), prepareAccess(await database.connect())])
  const keys = (): Promise<unknown> => database.rows('select kind, count(*)::int as count, max(rank)::int as rank, bool_and(key = lower(value collate "C") or key like \'%ö%\') as "isFolded", max(xmin::text) as xmin from bulkhead.user_key group by kind order by kind')
  const made = await keys() as Record<string, unknown>[]
  assert.deepEqual(made.map(({ kind, count, rank, isFolded }) => ({ kind, count, rank, isFolded })), [{ kind: 'email', count: 1_000, rank: 0, isFolded: true }, { kind: 'name', count: 1_000, rank: 0, isFolded: true }])
  await prepareAccess(database.postgres)
  assert.deepEqual(await keys(), made)
})

test('a role whose name differs only in case from another is a conflict, also when both race', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  const { roles } = room.access
  await assert.rejects(roles.create(admin, { name: 'Admin' }, origin), Conflict)
  const made = await Promise.allSettled(['scribe', 'Scribe', 'SCRIBE'].map(name => roles.create(admin, { name }, origin)))
  assert.deepEqual(made.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected'])
})

test('a password with a NUL character or half of a surrogate pair is refused, new or at sign-in', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  for (const password of ['long enough\0', 'long enough\ud83d', '\udc00long enough']) {
    const isRefused = (error: unknown): boolean => error instanceof ValidationFailed && error.errors[0]?.path === 'body.password'
    await assert.rejects(room.access.users.create(admin, { ...newUser, password }, origin), isRefused)
    await assert.rejects(room.access.login({ name: 'admin', password }, origin), isRefused)
  }
})

test('a delegation of an earlier version that ends after the year 9999 keeps no user out', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  const ada = await house.addUser('ada')
  await room.access.delegations.grant(admin, { delegateId: ada, permission: 'project:read' }, origin)
  await house.rows('update delegations set expires_at = \'9999-12-31T23:59:59-15:00\'')
  assert.equal((await room.access.delegations.list(admin, { limit: 10, offset: 0 })).items[0]?.expiresAt, '9999-12-31T23:59:59.000Z')
  assert.equal(await room.access.can(ada, 'project:read'), true)
  assert.deepEqual([...(await signInAs(room, 'ada')).user.permissions], ['project:read'])
})
