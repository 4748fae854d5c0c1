// A user's own API tokens.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { Forbidden, NotFound, TooManyRequests, ValidationFailed } from '../../../core/contract/index.ts'
import type { User } from '../../../core/contract/index.ts'
import { addProject, assign, openHouse, origin, signIn, signInAs } from '../fixture.ts'

const dayMs = 86_400_000
const ci = { name: 'ci', scopes: [] as string[], expiresInDays: 90 }

test('a token works, is shown once and never listed; its creation and revocation are audited', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const { token, ...record } = await room.access.createToken(user, { ...ci, scopes: ['project:read', 'project:read'] }, origin)
  assert.match(token, /^plat_api_[0-9a-f]{72}$/)
  assert.deepEqual([record.name, record.scopes, record.projectId, record.lastUsedAt], ['ci', ['project:read'], null, null])
  assert.equal(Date.parse(record.expiresAt ?? ''), house.clock.now() + 90 * dayMs)
  assert.equal((await room.authenticate(token))?.id, user.id)

  const { items, total } = await room.access.listTokens(user, { limit: 50, offset: 0 })
  assert.equal(total, 1)
  assert.deepEqual(Object.keys(items[0] ?? {}).sort(), ['createdAt', 'expiresAt', 'id', 'lastUsedAt', 'name', 'projectId', 'scopes'])

  await room.access.revokeToken(user, record.id, origin)
  assert.equal(await room.authenticate(token), undefined, 'at once')
  assert.deepEqual(await room.access.listTokens(user, { limit: 50, offset: 0 }), { items: [], total: 0 })
  const log = await house.rows('select action, resource_id, actor_id, host(ip_addr) as address, detail from audit_log where resource = \'token\' order by created_at')
  assert.deepEqual(log.map(({ action, resource_id: id, actor_id: actor, address }) => [action, id, actor, address]),
    [['token.create', record.id, user.id, origin.address], ['token.revoke', record.id, user.id, origin.address]])
  assert.ok(!JSON.stringify([log, await house.rows('select * from api_tokens')]).includes(token.slice(9, 73)), 'the token itself is nowhere')
})

test('unknown scopes, an overlong lifetime and a missing project are named, all at once', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const bad = room.access.createToken(user, { name: 'ci', scopes: ['project:read', 'boat:sink'], projectId: randomUUID(), expiresInDays: 366 }, origin)
  await assert.rejects(bad, (error: unknown) => {
    assert.ok(error instanceof ValidationFailed)
    assert.deepEqual(error.errors.map(({ path }) => path), ['body.expiresInDays', 'body.scopes.1', 'body.projectId'])
    assert.match(error.errors[1]?.message ?? '', /boat:sink/)
    return true
  })
  assert.deepEqual(await house.rows('select count(*)::int as count from api_tokens'), [{ count: 0 }])
})

test('a token makes none that is wider than itself, in scopes, project or time', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const [row] = await house.rows('insert into projects (name, owner_id, visibility) values (\'boat\', $1, \'private\') returning id', [user.id])
  const projectId = String(row?.id)
  const behind = async (options: Partial<typeof ci> & { projectId?: string }): Promise<User> => {
    const { token } = await room.access.createToken(user, { ...ci, ...options }, origin)
    const found = await room.authenticate(token)
    assert.ok(found)
    return found
  }
  const reader = await behind({ scopes: ['project:read', 'secret:read'], expiresInDays: 1 })
  const child = await room.access.createToken(reader, { ...ci, scopes: ['project:read'] }, origin)
  assert.equal(child.expiresAt, reader.signedInBy.expiresAt, 'it does not outlive its maker')
  await assert.rejects(room.access.createToken(reader, { ...ci, scopes: ['project:read', 'project:write'] }, origin), Forbidden)
  await assert.rejects(room.access.createToken(reader, ci, origin), Forbidden, 'no scopes would mean all')

  const bound = await behind({ projectId })
  await assert.rejects(room.access.createToken(bound, ci, origin), Forbidden)
  await room.access.createToken(bound, { ...ci, projectId }, origin)
})

test('nobody lists or revokes the token of someone else', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const { id, token } = await room.access.createToken(user, ci, origin)
  await house.addUser('ada')
  const { user: other } = await signInAs(room, 'ada')
  assert.equal((await room.access.listTokens(other, { limit: 50, offset: 0 })).total, 0)
  await assert.rejects(room.access.revokeToken(other, id, origin), NotFound)
  await assert.rejects(room.access.revokeToken(user, randomUUID(), origin), NotFound)
  assert.ok(await room.authenticate(token))
})

test('twenty tokens an hour, however many are asked for at once, and then there is a wait', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const made = await Promise.allSettled(Array.from({ length: 25 }, () => room.access.createToken(user, ci, origin)))
  assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 20)
  for (const result of made) if (result.status === 'rejected') assert.ok(result.reason instanceof TooManyRequests)
  await house.clock.advance(3_600_000)
  await room.access.createToken(user, ci, origin)
})

test('lists go page by page, newest first, and always tell the total', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  for (const name of ['a', 'b', 'c']) await room.access.createToken(user, { ...ci, name }, origin)
  const page = async (limit: number, offset: number): Promise<unknown> => {
    const { items, total } = await room.access.listTokens(user, { limit, offset })
    return [items.map(({ name }) => name).join(''), total]
  }
  assert.deepEqual(await page(2, 0), ['cb', 3])
  assert.deepEqual(await page(2, 2), ['a', 3])
  assert.deepEqual(await page(2, 4), ['', 3])
})

test('a project where one holds nothing looks like one that is not there', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const ada = await house.addUser('ada')
  const [boat, ship] = [await addProject(house, 'boat'), await addProject(house, 'ship')]
  await assign(house, ada, 'viewer', boat)
  const { user } = await signInAs(room, 'ada')
  const refusalOf = (projectId: string): Promise<unknown> => room.access.createToken(user, { ...ci, projectId }, origin)
    .then(() => assert.fail('it was not refused'), (error: unknown) => (error as ValidationFailed).errors)
  assert.deepEqual(await refusalOf(ship), await refusalOf(randomUUID()))
  await room.access.createToken(user, { ...ci, projectId: boat }, origin)
})
