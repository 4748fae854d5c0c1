// The administration of the plugin identity over real HTTP.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { addProject, adminPassword } from '../access/fixture.ts'
import { signIn, type Client } from '../support/client.ts'
import { serve } from './identity-fixture.ts'

type Body = Record<string, unknown> & { id: string, items: Record<string, unknown>[], total: number, errors: { path: string }[] }
const json = async (answer: Promise<Response>): Promise<Body> => await (await answer).json() as Body
const status = async (answer: Promise<Response>): Promise<number> => (await answer).status

const password = 'a long password'
const addUser = (admin: Client, name: string): Promise<Body> => json(admin.post('/api/users', { name, email: `${name}@example.org`, password }))

test('users: made, listed, shown, changed, deactivated', async (t) => {
  const { url } = await serve(t)
  const admin = await signIn(url, 'admin', adminPassword)
  const made = await admin.post('/api/users', { name: 'ada', email: 'ada@example.org', password, displayName: 'Ada' })
  assert.equal(made.status, 201)
  const { id, ...ada } = await made.json() as Body
  assert.deepEqual(Object.keys(ada).sort(), ['createdAt', 'displayName', 'email', 'isActive', 'name', 'updatedAt'])
  assert.equal((await json(admin.get('/api/users?limit=1'))).total, 2)
  const own = await signIn(url, 'ada', password)
  assert.deepEqual([await status(own.get(`/api/users/${id}`)), await status(own.get('/api/users')), await status(own.get(`/api/users/${randomUUID()}`))], [200, 403, 403])
  assert.equal((await json(own.patch(`/api/users/${id}`, { displayName: 'Ada L.' }))).displayName, 'Ada L.')
  assert.equal(await status(own.patch(`/api/users/${id}`, { isActive: true })), 403)
  assert.equal(await status(own.patch(`/api/users/${id}`, { password: 'another password', currentPassword: 'x' })), 403)
  assert.equal(await status(admin.delete(`/api/users/${id}`)), 204)
  assert.equal(await status(own.get('/api/auth/me')), 401)
  assert.equal(await status(admin.get(`/api/users/${randomUUID()}`)), 404)
  assert.equal(await status(admin.post('/api/users', { name: 'ada', email: 'x@example.org', password })), 409)
  const { id: adminId } = (await json(admin.get('/api/users'))).items.find(({ name }) => name === 'admin') ?? {}
  assert.equal(await status(admin.delete(`/api/users/${String(adminId)}`)), 409, 'the last admin')
})

test('what is wrong with a user is named by its path', async (t) => {
  const { url } = await serve(t)
  const admin = await signIn(url, 'admin', adminPassword)
  const paths = async (body: object): Promise<string> => (await json(admin.post('/api/users', body))).errors.map(({ path }) => path).join()
  assert.equal(await paths({}), 'body.name,body.email,body.password')
  assert.equal(await paths({ name: 'a..b', email: 'x', password: 'short', displayName: 'a\u0007', isAdmin: true }),
    'body.name,body.email,body.password,body.displayName,body.isAdmin')
  assert.equal(await paths({ name: 'ada', email: `${'x'.repeat(251)}@a.b`, password: 'x'.repeat(1_025) }), 'body.email,body.password')
})

test('roles: made, given permissions, assigned in a project, taken away, deleted', async (t) => {
  const { url, house } = await serve(t)
  const admin = await signIn(url, 'admin', adminPassword)
  const ada = await addUser(admin, 'ada')
  const boat = await addProject(house, 'boat')
  const made = await admin.post('/api/admin/roles', { name: 'scribe', description: 'Writes\nall day' })
  assert.equal(made.status, 201)
  const { id } = await made.json() as Body
  const path = `/api/admin/roles/${id}/permissions`
  const set = (permissions: string[]): Promise<Response> => fetch(`${url}${path}`, {
    method: 'PUT', headers: { cookie: admin.cookie, origin: url, 'content-type': 'application/json' }, body: JSON.stringify({ permissions })
  })
  assert.deepEqual((await json(set(['secret:read']))).items.map(({ name, plugin }) => [name, plugin]), [['secret:read', 'host']])
  assert.deepEqual((await json(set(['secret:read', 'x:y']))).errors.map(({ path }) => path), ['body.permissions.1'])
  assert.equal((await json(admin.get(path))).total, 1)

  const roles = `/api/admin/users/${ada.id}/roles`
  assert.equal(await status(admin.post(roles, { roleId: id, projectId: boat })), 201)
  assert.equal(await status(admin.post(roles, { roleId: id, projectId: boat })), 409)
  assert.equal((await json(admin.get(roles))).total, 1)
  assert.deepEqual([await status(admin.delete(`${roles}/${id}`)), await status(admin.delete(`${roles}/${id}?projectId=${boat}`))], [404, 204])
  assert.equal((await json(admin.patch(`/api/admin/roles/${id}`, { name: 'writer' }))).name, 'writer')
  assert.equal(await status(admin.delete(`/api/admin/roles/${id}`)), 204)

  const { items } = await json(admin.get('/api/admin/roles'))
  const adminRole = String(items.find(({ name }) => name === 'admin')?.id)
  assert.deepEqual([await status(admin.patch(`/api/admin/roles/${adminRole}`, { name: 'x' })), await status(admin.delete(`/api/admin/roles/${adminRole}`))], [409, 409])
  const { user } = await json(admin.get('/api/auth/me')) as unknown as { user: { id: string } }
  assert.equal(await status(admin.delete(`/api/admin/users/${user.id}/roles/${adminRole}`)), 409, 'the last admin')
  assert.ok((await json(admin.get('/api/admin/permissions'))).items.some(({ name }) => name === 'admin:delegate'))
})

test('delegations: granted for an hour, listed by both, revoked by whoever granted them', async (t) => {
  const { url } = await serve(t)
  const admin = await signIn(url, 'admin', adminPassword)
  const agent = await addUser(admin, 'agent-7')
  const own = await signIn(url, 'agent-7', password)
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
  const grant = (body: object): Promise<Response> => admin.post('/api/admin/delegations', { delegateId: agent.id, permission: 'deploy:read', ...body })
  const made = await grant({ expiresAt, reason: 'to look' })
  assert.equal(made.status, 201)
  const { id } = await made.json() as Body
  assert.ok((await json(own.get('/api/auth/me')) as unknown as { permissions: string[] }).permissions.includes('deploy:read'))
  assert.deepEqual([(await json(own.get('/api/admin/delegations'))).total, await status(own.delete(`/api/admin/delegations/${id}`))], [1, 403])
  assert.deepEqual([await status(grant({})), await status(grant({ permission: 'x:y' })), await status(grant({ expiresAt: '2020-01-01T00:00:00Z' }))], [409, 422, 422])
  assert.equal(await status(own.post('/api/admin/delegations', { delegateId: randomUUID(), permission: 'deploy:read' })), 422)
  const { user } = await json(admin.get('/api/auth/me')) as unknown as { user: { id: string } }
  assert.equal(await status(own.post('/api/admin/delegations', { delegateId: user.id, permission: 'deploy:read' })), 400, 'no chains')
  assert.equal(await status(own.post('/api/admin/delegations', { delegateId: agent.id, permission: 'deploy:read' })), 400, 'not to oneself')
  assert.equal(await status(own.post('/api/admin/delegations', { delegateId: user.id, permission: 'secret:write' })), 403)
  assert.equal(await status(admin.delete(`/api/admin/delegations/${id}`)), 204)
  assert.deepEqual((await json(own.get('/api/auth/me')) as unknown as { permissions: string[] }).permissions, [])
})

test('the audit log is paged and filtered, and holds no password and no token', async (t) => {
  const { url } = await serve(t)
  const admin = await signIn(url, 'admin', adminPassword)
  const ada = await addUser(admin, 'ada')
  const { token } = await json(admin.post('/api/tokens', { name: 'ci' })) as unknown as { token: string }
  await (await signIn(url, 'ada', password)).get('/api/users')
  await signIn(url, 'ada', 'not the password').catch(() => undefined)
  const find = async (query: string): Promise<unknown> => (await json(admin.get(`/api/admin/audit?${query}`))).items.map(({ action }) => action)
  assert.deepEqual(await find(`actorId=${ada.id}&resource=user`), ['auth.login_failed'])
  assert.deepEqual(await find(`resource=user&resourceId=${ada.id}&action=user.create`), ['user.create'])
  assert.deepEqual(await find('action=token.create&limit=1'), ['token.create'])
  assert.deepEqual(await find(`from=${encodeURIComponent(new Date(Date.now() + 60_000).toISOString())}`), [])
  assert.equal(await status(admin.get('/api/admin/audit?from=yesterday')), 422)
  const all = await (await admin.get('/api/admin/audit?limit=100')).text()
  assert.ok(all.includes('request.refuse') || all.includes('auth.login_failed'))
  for (const secret of [password, adminPassword, 'not the password', token]) assert.ok(!all.includes(secret))
})
