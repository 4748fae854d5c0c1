// The whole story of access on a real host, as people and an agent live it, and as the audit log tells it afterwards.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { until } from '../support/until.ts'
import { openOperator, writeHarbour } from './harbour-fixture.ts'

const adminPassword = 'correct horse battery'
const root = join(import.meta.dirname, '../..')

type Body = Record<string, unknown> & { id: string, items: Record<string, unknown>[] }
const json = async (answer: Response, status: number): Promise<Body> => {
  const body = await answer.json() as Body
  assert.equal(answer.status, status, JSON.stringify(body))
  return body
}

test('the audit log tells of a user\'s role in a project and of an agent\'s delegation and its end', async (t) => {
  const databaseUrl = await createDatabase(t, { migrated: 'plugins' })
  const plugins = await temporaryFolder(t)
  await writeHarbour(plugins)
  const host = startHost(t, {
    DATABASE_URL: databaseUrl, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: adminPassword,
    PLATFORM_PLUGINS_PATH: `${join(root, 'plugins')}:${plugins}`
  })
  const { url } = await host.ready()
  const operator = await openOperator(t, databaseUrl)
  const [boatyard, museum] = [await operator.addProject('boatyard'), await operator.addProject('museum')]

  // The admin makes two users: Ada is a person, Otto is an agent. There is no difference.
  const admin = await signIn(url, 'admin', adminPassword)
  const ada = await json(await admin.post('/api/users', { name: 'ada', email: 'ada@example.org', password: 'a password of ada' }), 201)
  const otto = await json(await admin.post('/api/users', { name: 'otto', email: 'otto@example.org', password: 'a password of otto' }), 201)

  // Ada logs in and makes a token. It opens nothing yet: she holds no role.
  const adaSession = await signIn(url, 'ada', 'a password of ada')
  const { token } = await json(await adaSession.post('/api/tokens', { name: 'laptop' }), 201) as unknown as { token: string }
  const withToken = (bearer: string, path: string, body?: unknown): Promise<Response> => fetch(`${url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    ...body === undefined ? {} : { body: JSON.stringify(body) }
  })
  assert.equal((await withToken(token, `/api/harbour/in/${boatyard}`)).status, 404)

  // She becomes a developer in the boatyard. That is nothing in the museum, and nothing outside.
  const { items: roles } = await json(await admin.get('/api/admin/roles'), 200)
  const developer = roles.find(({ name }) => name === 'developer')?.id
  await json(await admin.post(`/api/admin/users/${ada.id}/roles`, { roleId: developer, projectId: boatyard }), 201)
  await json(await withToken(token, `/api/harbour/in/${boatyard}`, { name: 'Argo' }), 201)
  assert.equal((await withToken(token, `/api/harbour/in/${museum}`, { name: 'Argo' })).status, 404)
  assert.equal((await withToken(token, `/api/harbour/in/${museum}`)).status, 404)

  // Otto may do nothing, until Ada lends him what she holds there, for an hour.
  const ottoSession = await signIn(url, 'otto', 'a password of otto')
  const { token: ottoToken } = await json(await ottoSession.post('/api/tokens', { name: 'run-1', scopes: ['boat:sail'] }), 201) as unknown as { token: string }
  assert.equal((await withToken(ottoToken, `/api/harbour/in/${boatyard}`, { name: 'Raft' })).status, 404)
  const delegation = await json(await adaSession.post('/api/admin/delegations', {
    delegateId: otto.id, permission: 'boat:sail', projectId: boatyard, expiresAt: new Date(Date.now() + 3_600_000).toISOString(), reason: 'sail for me'
  }), 201)
  const raft = await json(await withToken(ottoToken, `/api/harbour/in/${boatyard}`, { name: 'Raft' }), 201)
  assert.equal((await withToken(ottoToken, `/api/harbour/in/${boatyard}`)).status, 403, 'seeing boats was not lent')
  assert.equal((await withToken(ottoToken, `/api/harbour/in/${museum}`, { name: 'Raft' })).status, 404)
  assert.equal((await ottoSession.post('/api/admin/delegations', { delegateId: ada.id, permission: 'boat:sail', projectId: boatyard })).status, 400)

  // She takes it back, and he is refused.
  assert.equal((await adaSession.delete(`/api/admin/delegations/${delegation.id}`)).status, 204)
  assert.equal((await withToken(ottoToken, `/api/harbour/in/${boatyard}`, { name: 'Raft' })).status, 404)

  // The log has it all, in order, with who, what, where and from where; and no secret.
  const told = async (): Promise<Body> => json(await admin.get('/api/admin/audit?limit=100'), 200)
  // Refusals are written in the background.
  await until(async () => (await told()).items.filter(({ action }) => action === 'request.refuse').length >= 7)
  const { items } = await told()
  const story = items.toReversed().filter(({ action }) => action !== 'request.refuse').map(({ actorName, action }) => `${String(actorName)} ${String(action)}`)
  assert.deepEqual(story, [
    'first run user.create',
    'admin auth.login', 'admin user.create', 'admin user.create',
    'ada auth.login', 'ada token.create',
    'admin role.assign', 'ada boat.sail',
    'otto auth.login', 'otto token.create',
    'ada delegation.create', 'otto boat.sail', 'ada delegation.revoke'
  ])
  const refused = items.filter(({ action }) => action === 'request.refuse').map(({ actorName, projectId, detail }) =>
    [actorName, projectId === boatyard ? 'boatyard' : 'museum', (detail as { status: number }).status].join(' ')).sort()
  assert.deepEqual(refused, [
    'ada boatyard 404', 'ada museum 404', 'ada museum 404',
    'otto boatyard 403', 'otto boatyard 404', 'otto boatyard 404', 'otto museum 404'
  ])
  const lent = items.find(({ action }) => action === 'delegation.create')
  assert.deepEqual([lent?.projectId, lent?.address, (lent?.detail as { permission: string }).permission], [boatyard, '127.0.0.1', 'boat:sail'])
  assert.equal(items.find(({ resourceId }) => resourceId === raft.id)?.actorId, otto.id)
  const everything = JSON.stringify(items) + host.output()
  for (const secret of [token, ottoToken, adminPassword, 'a password of']) assert.ok(!everything.includes(secret))

  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})
