// From the token a request shows to its user, on one replica and on several.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createApiToken, createSessionToken } from '../../../core/access/credential/token.ts'
import { TooManyRequests } from '../../../core/contract/index.ts'
import type { Postgres } from '../../../core/contract/index.ts'
import { createLog } from '../../support/part.ts'
import { freePort } from '../../support/process.ts'
import { undo } from '../../support/undo.ts'
import { until } from '../../support/until.ts'
import { startValkeyServer } from '../../support/valkey-server.ts'
import { counting, openHouse, openTestValkey, origin, signIn } from '../fixture.ts'

const isPromise = (value: unknown): boolean => value instanceof Promise
const newToken = { name: 'ci', scopes: [], expiresInDays: 90 }

test('a flood of invented tokens waits in its own bounded queue, apart from known callers', async (t) => {
  const house = await openHouse(t)
  let underWay = 0
  let most = 0
  const release = Promise.withResolvers<undefined>()
  let isHeld = false
  const slow = new Proxy(house.postgres, {
    get: (target, method: keyof Postgres) => async (...args: unknown[]) => {
      most = Math.max(most, ++underWay)
      try {
        if (isHeld) await release.promise
        return await (target[method] as (...args: unknown[]) => unknown)(...args)
      } finally { underWay-- }
    }
  })
  const room = await house.openRoom({ postgres: slow })
  const { token, user } = await signIn(room)
  await house.clock.advance(2_000)
  await until(() => underWay === 0)
  most = 0
  isHeld = true
  const flood = Array.from({ length: 2_000 }, async () => room.authenticate(createSessionToken()))
  const refused = (await Promise.allSettled(flood.slice(1_016))).flatMap(result => result.status === 'rejected' ? [result.reason as Error] : [])
  assert.equal(refused.length, 2_000 - 1_016)
  for (const error of refused) assert.ok(error instanceof TooManyRequests)
  assert.equal(most, 16)
  const known = room.authenticate(token)
  await until(() => most === 17)
  release.resolve(undefined)
  assert.equal((await known)?.id, user.id)
  assert.deepEqual(await Promise.all(flood.slice(0, 1_016)), Array.from({ length: 1_016 }, () => undefined))
})

test('a known token is answered in the same turn without the database, and rechecked after 1 s', async (t) => {
  const house = await openHouse(t)
  const asked = counting(house.postgres)
  const room = await house.openRoom({ postgres: asked.postgres })
  const { token, user } = await signIn(room)
  const before = asked.count
  assert.equal(room.authenticate(token), user)
  assert.equal(asked.count, before)

  await house.clock.advance(999)
  assert.equal(room.authenticate(token), user)
  await house.clock.advance(1)
  const again = room.authenticate(token)
  assert.ok(isPromise(again))
  assert.equal((await again)?.id, user.id)
  assert.equal(asked.count, before + 1, 'the permissions came from the cache')
})

test('a token that cannot be one costs no query', async (t) => {
  const house = await openHouse(t)
  const asked = counting(house.postgres)
  const room = await house.openRoom({ postgres: asked.postgres })
  const api = createApiToken()
  const wrongChecksum = api.slice(0, -1) + (api.endsWith('0') ? '1' : '0')
  for (const token of ['', 'x', 'plat_', createSessionToken().slice(1), `${createSessionToken()}'`, wrongChecksum, 'y'.repeat(100_000)]) {
    assert.equal(room.authenticate(token), undefined)
  }
  assert.equal(asked.count, 0)
})

test('a token nobody has is asked for once a second', async (t) => {
  const house = await openHouse(t)
  const asked = counting(house.postgres)
  const room = await house.openRoom({ postgres: asked.postgres })
  const stranger = createSessionToken()
  assert.equal(await room.authenticate(stranger), undefined)
  assert.equal(room.authenticate(stranger), undefined)
  assert.equal(asked.count, 1)
  await house.clock.advance(1_000)
  assert.equal(await room.authenticate(stranger), undefined)
  assert.equal(asked.count, 2)
})

test('a hundred requests with one token at once ask for it once', async (t) => {
  const house = await openHouse(t)
  const { token } = await signIn(await house.openRoom())
  const asked = counting(house.postgres)
  const room = await house.openRoom({ postgres: asked.postgres })
  const users = await Promise.all(Array.from({ length: 100 }, async () => room.authenticate(token)))
  assert.ok(users.every(user => user !== undefined))
  assert.ok(asked.count <= 2, `${asked.count} queries`)
})

test('what one replica revokes or signs out, the other refuses as soon as the news is there', async (t) => {
  const house = await openHouse(t)
  const [here, there] = [await house.openRoom(), await house.openRoom()]
  const session = await signIn(here)
  const { id, token } = await here.access.createToken(session.user, newToken, origin)
  assert.ok(await there.authenticate(token))
  assert.ok(await there.authenticate(session.token))

  // Its clock stands still, so only the news can tell it.
  await here.access.revokeToken(session.user, id, origin)
  await until(async () => await there.authenticate(token) === undefined)
  await here.access.logout(session.user, origin)
  await until(async () => await there.authenticate(session.token) === undefined)
})

test('forgetting everything makes every replica ask again', async (t) => {
  const house = await openHouse(t)
  const [here, there] = [await house.openRoom(), await house.openRoom()]
  const { token } = await signIn(here)
  await there.authenticate(token)
  await house.rows('update users set is_active = false')
  assert.ok(here.authenticate(token))
  here.forget()
  assert.equal(await here.authenticate(token), undefined)
  await until(async () => await there.authenticate(token) === undefined)
})

test('without Valkey all goes on, and a revocation reaches the other replica a second later', async (t) => {
  const house = await openHouse(t)
  const port = await freePort()
  const server = await startValkeyServer(port)
  undo(t, () => server.stop())
  const url = `redis://127.0.0.1:${port}`
  const logged: object[] = []
  const here = await house.openRoom({ valkey: (await openTestValkey(t, url)).host, log: createLog(logged) })
  const there = await house.openRoom({ valkey: (await openTestValkey(t, url)).host, log: createLog(logged) })
  await server.stop()

  const { user } = await signIn(here)
  const { id, token } = await here.access.createToken(user, newToken, origin)
  assert.ok((await there.authenticate(token))?.permissions.has('admin:users'))
  await here.access.revokeToken(user, id, origin)
  assert.equal(await here.authenticate(token), undefined, 'where it was revoked it is refused at once')
  await house.clock.advance(1_000)
  assert.equal(await there.authenticate(token), undefined)
  assert.ok(logged.length > 0, 'the log says that the cache is unavailable')
})

test('a lookup that began before a change is not kept', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { token } = await signIn(room)
  await house.clock.advance(1_000)
  const early = room.authenticate(token)
  await house.rows('delete from auth_sessions')
  room.forget()
  await early
  assert.equal(await room.authenticate(token), undefined)
})

test('an inactive user, an ended session or an expired token is refused a second later at most', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { token, user } = await signIn(room)
  const made = await room.access.createToken(user, { ...newToken, expiresInDays: 1 }, origin)
  assert.ok(await room.authenticate(made.token))
  await house.clock.advance(86_400_000 - 1)
  assert.ok(await room.authenticate(made.token))
  await house.clock.advance(1)
  assert.equal(await room.authenticate(made.token), undefined)

  const again = await signIn(room)
  await house.rows('update users set is_active = false')
  await house.clock.advance(1_000)
  assert.equal(await room.authenticate(again.token), undefined)
  assert.equal(await room.authenticate(token), undefined)
})

test('a token narrows its user to its scopes, and never widens', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const { token } = await room.access.createToken(user, { ...newToken, scopes: ['project:read', 'secret:read'] }, origin)
  assert.deepEqual([...(await room.authenticate(token))?.permissions ?? []].sort(), ['project:read', 'secret:read'])

  await house.rows('delete from user_roles')
  await house.rows('update bulkhead.access_epoch set value = value + 1')
  await house.clock.advance(1_000)
  assert.deepEqual([...(await room.authenticate(token))?.permissions ?? []], [], 'a scope is no permission')
})

test('a token bound to a project may do nothing outside it', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const [project] = await house.rows('insert into projects (name, owner_id, visibility) values (\'boat\', $1, \'private\') returning id', [user.id])
  const projectId = String(project?.id)
  const { token } = await room.access.createToken(user, { ...newToken, projectId }, origin)
  const bound = await room.authenticate(token)
  assert.equal(bound?.permissions.size, 0)
  assert.equal(bound.signedInBy.kind === 'token' && bound.signedInBy.projectId, projectId)
})

test('the last use of a token is written, once a minute at most', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const { token } = await room.access.createToken(user, newToken, origin)
  const lastUse = async (): Promise<number> => {
    const { items } = await room.access.listTokens(user, { limit: 1, offset: 0 })
    return Date.parse(items[0]?.lastUsedAt ?? '')
  }
  const firstMs = house.clock.now()
  await room.authenticate(token)
  await until(async () => await lastUse() === firstMs)

  await house.clock.advance(59_000)
  await room.authenticate(token)
  await house.clock.advance(1_000)
  assert.equal(await lastUse(), firstMs)
  await room.authenticate(token)
  await until(async () => await lastUse() === firstMs + 60_000)
})
