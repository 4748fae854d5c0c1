// Roles, what they may, and who has them.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { Conflict, Forbidden, NotFound, ValidationFailed } from '../../../core/contract/index.ts'
import { addProject, assign, openHouse, origin, signIn, signInAs } from '../fixture.ts'

const page = { limit: 50, offset: 0 }
const names = ({ items }: { items: { name: string }[] }): string => items.map(({ name }) => name).join(' ')

test('creating, changing, assigning or deleting a role or its permissions counts at once', async (t) => {
  const house = await openHouse(t)
  const [room, other] = [await house.openRoom(), await house.openRoom()]
  const { user: admin } = await signIn(room)
  const ada = await house.addUser('ada')
  const { roles } = room.access
  const role = await roles.create(admin, { name: 'scribe', description: 'Writes' }, origin)
  assert.deepEqual([role.name, role.description, role.isSystem], ['scribe', 'Writes', false])
  assert.equal(names(await roles.setPermissions(admin, role.id, ['secret:read', 'deploy:read', 'deploy:read'], origin)), 'deploy:read secret:read')
  const { id, ...assignment } = await roles.assign(admin, ada, { roleId: role.id }, origin)
  assert.deepEqual([assignment.roleName, assignment.projectId, assignment.grantedBy], ['scribe', null, admin.id])
  assert.deepEqual((await roles.assignmentsOf(admin, ada, page)).items.map(item => item.id), [id])
  assert.equal(await other.access.can(ada, 'secret:read'), true)

  assert.equal(names(await roles.setPermissions(admin, role.id, ['deploy:read'], origin)), 'deploy:read')
  assert.equal(await other.access.can(ada, 'secret:read'), false)
  assert.equal((await roles.change(admin, role.id, { name: 'reader', description: null }, origin)).description, null)
  assert.equal(await other.access.can(ada, 'deploy:read'), true)
  await roles.remove(admin, role.id, origin)
  assert.equal(await other.access.can(ada, 'deploy:read'), false)
  await assert.rejects(roles.permissionsOf(admin, role.id), NotFound)

  const log = await house.rows('select action, detail from audit_log where action like \'role.%\' order by created_at')
  assert.deepEqual(log.map(({ action }) => action), ['role.create', 'role.permissions', 'role.assign', 'role.permissions', 'role.change', 'role.delete'])
  assert.deepEqual((log[3] as { detail: object }).detail, { name: 'scribe', added: [], removed: ['secret:read'] })
})

test('a role of the system is neither changed nor deleted', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  const { roles } = room.access
  const { items } = await roles.list(admin, page)
  assert.deepEqual(items.filter(({ isSystem }) => isSystem).map(({ name }) => name), ['admin', 'agent', 'developer', 'ops', 'viewer'])
  for (const { id } of items) {
    await assert.rejects(roles.change(admin, id, { name: 'mine' }, origin), Conflict)
    await assert.rejects(roles.setPermissions(admin, id, [], origin), Conflict)
    await assert.rejects(roles.remove(admin, id, origin), Conflict)
  }
})

test('a role in one project is nothing in another; removing it there leaves the global one', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  const { access } = room
  const ada = await house.addUser('ada')
  const [boat, ship] = [await addProject(house, 'boat'), await addProject(house, 'ship')]
  const roleId = (await access.roles.list(admin, page)).items.find(({ name }) => name === 'ops')?.id ?? ''
  const held = async (): Promise<boolean[]> => Promise.all([boat, ship, undefined].map(async project => access.can(ada, 'alert:manage', project)))
  await access.roles.assign(admin, ada, { roleId, projectId: boat }, origin)
  assert.deepEqual(await held(), [true, false, false])
  await assert.rejects(access.roles.assign(admin, ada, { roleId, projectId: boat }, origin), Conflict)
  await assert.rejects(access.roles.unassign(admin, ada, { roleId }, origin), NotFound)
  await access.roles.assign(admin, ada, { roleId }, origin)
  assert.deepEqual(await held(), [true, true, true])
  await access.roles.unassign(admin, ada, { roleId, projectId: boat }, origin)
  assert.deepEqual(await held(), [true, true, true])
  await access.roles.unassign(admin, ada, { roleId }, origin)
  assert.deepEqual(await held(), [false, false, false])
})

test('what is not there is named: user, role, project, permission', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  const { roles } = room.access
  await assert.rejects(roles.assign(admin, randomUUID(), { roleId: randomUUID() }, origin), NotFound)
  const paths = (work: Promise<unknown>): Promise<unknown> => work.then(() => assert.fail('it was not refused'), (error: unknown) =>
    error instanceof ValidationFailed ? error.errors.map(({ path }) => path) : error)
  assert.deepEqual(await paths(roles.assign(admin, admin.id, { roleId: randomUUID(), projectId: randomUUID() }, origin)), ['body.roleId', 'body.projectId'])
  const role = await roles.create(admin, { name: 'scribe' }, origin)
  assert.deepEqual(await paths(roles.setPermissions(admin, role.id, ['secret:read', 'boat:sink'], origin)), ['body.permissions.1'])
  assert.equal((await roles.permissionsOf(admin, role.id)).total, 0, 'nothing of a refused change stays')
  await assert.rejects(roles.create(admin, { name: 'scribe' }, origin), Conflict)
})

test('the last active admin stays one, however many hosts take admins away at once', async (t) => {
  const house = await openHouse(t)
  const rooms = [await house.openRoom(), await house.openRoom()] as const
  const ada = await house.addUser('ada')
  await assign(house, ada, 'admin')
  const { user: admin } = await signInAs(rooms[0], 'admin')
  const { user: second } = await signInAs(rooms[1], 'ada')
  const roleId = (await rooms[0].access.roles.list(admin, page)).items.find(({ name }) => name === 'admin')?.id ?? ''
  const ways = [
    (room: typeof rooms[0], actor: typeof admin, id: string) => room.access.roles.unassign(actor, id, { roleId }, origin),
    (room: typeof rooms[0], actor: typeof admin, id: string) => room.access.users.deactivate(actor, id, origin),
    (room: typeof rooms[0], actor: typeof admin, id: string) => room.access.users.change(actor, id, { isActive: false }, origin)
  ]
  for (const way of ways) {
    const outcomes = await Promise.allSettled([way(rooms[0], admin, admin.id), way(rooms[1], second, second.id)])
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    const refused = outcomes.find(outcome => outcome.status === 'rejected')
    assert.ok(refused?.reason instanceof Conflict, String(refused?.reason))
    await house.rows('update users set is_active = true')
    await house.rows('insert into user_roles (user_id, role_id) select id, $1 from users on conflict do nothing', [roleId])
    await house.rows('update bulkhead.access_epoch set value = value + 1')
    rooms.forEach(room => { room.forget() })
  }
})

test('every permission is listed with who contributes it', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  await house.rows('insert into permissions (name, resource, action) values (\'note:read\', \'note\', \'read\'), (\'old:read\', \'old\', \'read\')')
  room.declare([{ name: 'note:read', description: 'See notes', plugin: 'notes' }])
  const { items, total } = await room.access.roles.permissions(admin, page)
  assert.equal(total, items.length)
  const pluginOf = (wanted: string): unknown => items.find(({ name }) => name === wanted)?.plugin
  assert.deepEqual(['project:read', 'note:read', 'old:read'].map(pluginOf), ['host', 'notes', null])
})

test('a user without admin:roles or a token without the scope cannot use the role methods', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await assign(house, await house.addUser('ada'), 'developer')
  const { user: ada } = await signInAs(room, 'ada')
  const { user: admin } = await signIn(room)
  const { token } = await room.access.createToken(admin, { name: 'ci', scopes: ['admin:users'], expiresInDays: 1 }, origin)
  const narrow = await room.authenticate(token)
  assert.ok(narrow)
  const { roles } = room.access
  const before = await house.rows('select count(*)::int as count from audit_log')
  for (const actor of [ada, narrow]) {
    const id = randomUUID()
    for (const work of [
      () => roles.list(actor, page), () => roles.create(actor, { name: 'x' }, origin), () => roles.change(actor, id, {}, origin),
      () => roles.remove(actor, id, origin), () => roles.permissionsOf(actor, id), () => roles.setPermissions(actor, id, [], origin),
      () => roles.permissions(actor, page), () => roles.assignmentsOf(actor, id, page),
      () => roles.assign(actor, id, { roleId: id }, origin), () => roles.unassign(actor, id, { roleId: id }, origin)
    ]) await assert.rejects(work, Forbidden)
  }
  assert.deepEqual(await house.rows('select count(*)::int as count from audit_log'), before)
})
