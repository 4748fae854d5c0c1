// Whose account an administrator may take over, by a password, an e-mail address or the right to sign in.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Forbidden } from '../../../core/contract/index.ts'
import type { UserChange } from '../../../core/contract/index.ts'
import { assign, bumpEpoch, origin } from '../fixture.ts'
import { cast, makeRole, roleId, someone, throughToken } from '../people.ts'

const ways: Readonly<Record<string, UserChange>> = {
  password: { password: 'a password of a thief' }, 'e-mail': { email: 'thief@example.org' }, deactivation: { isActive: false }, activation: { isActive: true }
}

test('the account of a user who holds more, in any way and any scope, is not taken over', async (t) => {
  const scene = await cast(t)
  const { house, room, admin, boat } = scene
  const clerk = await someone(scene, 'clerk', 'helpdesk')
  const { users } = room.access
  const stronger: Record<string, () => Promise<string>> = {
    'a role everywhere': async () => { const id = await house.addUser('v1'); await assign(house, id, 'revealer'); return id },
    'a role in one project': async () => { const id = await house.addUser('v2'); await assign(house, id, 'viewer', boat); return id },
    'a project of their own': async () => {
      const id = await house.addUser('v3')
      await house.rows('insert into projects (name, owner_id) values (\'raft\', $1)', [id])
      return id
    },
    'what was lent to them': async () => {
      const id = await house.addUser('v4')
      await room.access.delegations.grant(admin, { delegateId: id, permission: 'alert:manage', projectId: boat }, origin)
      return id
    },
    'a role, and is not active': async () => {
      const id = await house.addUser('v5')
      await assign(house, id, 'revealer')
      await house.rows('update users set is_active = false where id = $1', [id])
      return id
    }
  }
  for (const [how, make] of Object.entries(stronger)) {
    const id = await make()
    await bumpEpoch(house)
    const before = await house.rows('select * from users where id = $1', [id])
    for (const [way, change] of Object.entries(ways)) {
      await assert.rejects(users.change(clerk, id, change, origin), Forbidden, `${way} of a user with ${how}`)
    }
    await assert.rejects(users.deactivate(clerk, id, origin), Forbidden, `deactivating a user with ${how}`)
    assert.deepEqual(await house.rows('select * from users where id = $1', [id]), before)
    // Nor did the refusals use up attempts: the admin holds all of it.
    await users.change(admin, id, { ...ways['password'], displayName: how }, origin)
    await users.change(clerk, id, { displayName: 'no power' }, origin)
  }
  const peer = await house.addUser('peer')
  await assign(house, peer, 'helpdesk')
  await users.change(clerk, peer, { password: 'a new password', email: 'peer@example.org' }, origin)
  await users.deactivate(clerk, peer, origin)
})

test('taking over counts roles and owned projects, not loans nor what the token leaves out', async (t) => {
  const scene = await cast(t)
  const { house, room, admin, boat } = scene
  const clerk = await someone(scene, 'clerk', 'helpdesk')
  const reader = await house.addUser('reader')
  await assign(house, reader, 'viewer', boat)
  await bumpEpoch(house)
  for (const permission of ['deploy:read', 'observe:read', 'project:read']) await room.access.delegations.grant(admin, { delegateId: clerk.id, permission }, origin)
  await assert.rejects(room.access.users.change(clerk, reader, { email: 'x@example.org' }, origin), Forbidden, 'lent')
  await assign(house, clerk.id, 'viewer', boat)
  await room.access.users.change(clerk, reader, { email: 'x@example.org' }, origin)

  const narrow = await throughToken(scene, clerk, ['admin:users'])
  await assert.rejects(room.access.users.change(narrow, reader, { email: 'y@example.org' }, origin), Forbidden, 'the token leaves out what the reader holds')
  await assert.rejects(room.access.users.change(narrow, clerk.id, { email: 'y@example.org' }, origin), Forbidden, 'nor its own user')
  const wide = await throughToken(scene, clerk, [])
  await room.access.users.change(wide, reader, { email: 'y@example.org' }, origin)

  // Owning a project holds in it what an owner there holds, and no more.
  const writer = await house.addUser('writer')
  await makeRole(house, 'writer', ['project:write'])
  const [own] = await house.rows('insert into projects (name, owner_id) values (\'own\', $1) returning id', [clerk.id])
  await assign(house, writer, 'writer', String(own?.['id']))
  await room.access.users.change(clerk, writer, { email: 'z@example.org' }, origin)
  await assign(house, writer, 'writer', boat)
  await assert.rejects(room.access.users.change(clerk, writer, { email: 'w@example.org' }, origin), Forbidden)
})

test('a user who gains power at the same moment is not taken over with it', async (t) => {
  const scene = await cast(t)
  const { house, room, admin } = scene
  const clerk = await someone(scene, 'clerk', 'helpdesk')
  const other = await house.openRoom()
  const revealer = await roleId(house, 'revealer')
  const rounds = process.env.BULKHEAD_LONG === undefined ? 10 : 200
  for (let round = 0; round < rounds; round++) {
    const id = await house.addUser(`rising-${round}`)
    const [taken] = await Promise.allSettled([
      room.access.users.change(clerk, id, { email: `thief-${round}@example.org` }, origin),
      other.access.roles.assign(admin, id, { roleId: revealer }, origin)
    ])
    // Whichever was first is first in the log, too.
    const log = await house.rows('select action from audit_log where resource_id = $1 order by created_at', [id])
    const order = log.map(({ action }) => action).join(' ')
    if (taken.status === 'fulfilled') assert.match(order, /user\.change/)
    else assert.ok(taken.reason instanceof Forbidden, String(taken.reason))
    await assert.rejects(room.access.users.change(clerk, id, { email: `late-${round}@example.org` }, origin), Forbidden)
  }
})
