// What a narrowed token sees and ends of its user, and how all tokens of a user are ended.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { Forbidden, ValidationFailed } from '../../../core/contract/index.ts'
import { adminPassword, origin } from '../fixture.ts'
import { cast, someone, throughToken } from '../people.ts'

test('what a narrowed token sees and ends of its user is itself', async (t) => {
  const scene = await cast(t)
  const { house, room, admin } = scene
  const ada = await someone(scene, 'ada', 'developer')
  const page = { limit: 50, offset: 0 }
  const other = await room.access.createToken(ada, { name: 'other', scopes: [], expiresInDays: 1 }, origin)
  const bob = await house.addUser('bob')
  const loan = await room.access.delegations.grant(ada, { delegateId: bob, permission: 'agent:run' }, origin)
  await room.access.delegations.grant(ada, { delegateId: bob, permission: 'deploy:read' }, origin)
  const { sessions, delegations } = room.access
  const narrow = await throughToken(scene, ada, ['deploy:read'])
  for (const work of [
    () => sessions.list(narrow, page), () => sessions.find(narrow, ada.signedInBy.id), () => sessions.end(narrow, ada.signedInBy.id, origin),
    () => sessions.endAll(narrow, origin), () => room.access.revokeToken(narrow, other.id, origin),
    () => room.access.revokeToken(narrow, randomUUID(), origin), () => room.access.revokeTokens(narrow, origin),
    () => delegations.revoke(narrow, loan.id, origin),
    () => room.access.users.change(narrow, ada.id, { displayName: 'x' }, origin)
  ]) await assert.rejects(work, Forbidden)
  assert.deepEqual((await room.access.listTokens(narrow, page)).items.map(({ name }) => name), ['narrow'])
  assert.deepEqual((await delegations.list(narrow, page)).items.map(({ permission }) => permission), ['deploy:read'])
  await room.access.revokeToken(narrow, narrow.signedInBy.id, origin)

  // A token without scopes is its user, and admin:delegate in the scopes is what it says.
  const wide = await throughToken(scene, ada, [])
  assert.equal((await sessions.list(wide, page)).total, 1)
  await room.access.revokeToken(wide, other.id, origin)
  await delegations.revoke(await throughToken(scene, admin, ['admin:delegate']), loan.id, origin)
})

test('API tokens outlive a new password, unless they are all to be revoked with it', async (t) => {
  const scene = await cast(t)
  const { room, admin, house } = scene
  const ada = await someone(scene, 'ada')
  const make = async (user = ada): Promise<string> => (await room.access.createToken(user, { name: 'ci', scopes: [], expiresInDays: 1 }, origin)).token
  const works = async (...tokens: string[]): Promise<boolean[]> =>
    Promise.all(tokens.map(async token => await room.authenticate(token) !== undefined))
  const [one, two, admins] = [await make(), await make(), await make(admin)]
  await room.access.users.change(ada, ada.id, { password: 'another password', currentPassword: adminPassword }, origin)
  assert.deepEqual(await works(one, two), [true, true])
  await room.access.revokeTokens(ada, origin)
  assert.deepEqual(await works(one, two, admins), [false, false, true])
  const three = await make()
  await room.access.users.change(ada, ada.id, { password: 'a third password', currentPassword: 'another password', revokeTokens: true }, origin)
  assert.deepEqual(await works(three, admins), [false, true])
  const four = await make()
  await room.access.users.change(admin, ada.id, { password: 'a fourth password', revokeTokens: true }, origin)
  assert.deepEqual(await works(four), [false])
  await assert.rejects(room.access.users.change(ada, ada.id, { revokeTokens: true }, origin), ValidationFailed)
  const log = await house.rows('select count(*)::int as count from audit_log where action = \'token.revoke\' and detail ->> \'name\' = \'ci\'')
  assert.deepEqual(log, [{ count: 4 }])
})
