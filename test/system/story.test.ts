// From an empty data folder to a plugin's route answering under RBAC, as a user meets it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signIn } from '../support/client.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { until } from '../support/until.ts'

const passwordIn = (output: string): string | undefined => /password\s*:?\s+([A-Za-z0-9_-]{16,})/i.exec(output)?.[1]

test('the first start sets up the platform on embedded defaults; the second prints no password', async (t) => {
  const env = { PLATFORM_DATA_PATH: await temporaryFolder(t) }

  const first = startHost(t, env)
  const { url, probesUrl } = await first.ready()
  await until(() => passwordIn(first.output()) !== undefined)
  const password = passwordIn(first.output()) ?? ''
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  assert.equal((await fetch(`${probesUrl}/ready`)).status, 200)
  assert.equal((await fetch(`${probesUrl}/live`)).status, 200)

  const admin = await signIn(url, 'admin', password)
  const created = await admin.post('/api/notes', { title: 'Kept', body: 'over a restart' })
  assert.equal(created.status, 201)
  const { id } = await created.json() as { id: string }

  first.signal('SIGINT')
  assert.equal(await first.ended, 0, first.output())

  const second = startHost(t, env)
  const again = await second.ready()
  assert.equal(passwordIn(second.output()), undefined, 'no password the second time')
  const kept = await (await signIn(again.url, 'admin', password)).get(`/api/notes/${id}`)
  assert.deepEqual([kept.status, (await kept.json() as { title: string }).title], [200, 'Kept'])
  second.signal('SIGTERM')
  assert.equal(await second.ended, 0, second.output())
})

test('a token reaches what its scopes name and is refused the rest; without one nothing answers', async (t) => {
  const host = startHost(t, { PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: 'correct horse battery' })
  const { url } = await host.ready()
  const admin = await signIn(url, 'admin', 'correct horse battery')

  const me = await (await admin.get('/api/auth/me')).json() as { user: { name: string }, permissions: string[] }
  assert.equal(me.user.name, 'admin')
  assert.ok(me.permissions.includes('note:write') && me.permissions.includes('admin:users'), 'admin holds what plugins contribute, too')

  const made = await admin.post('/api/tokens', { name: 'reader', scopes: ['note:read'] })
  assert.equal(made.status, 201)
  const { token, id } = await made.json() as { token: string, id: string }
  const bearer = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }

  assert.equal((await fetch(`${url}/api/notes`, { headers: bearer })).status, 200)
  const refused = await fetch(`${url}/api/notes`, { method: 'POST', headers: bearer, body: JSON.stringify({ title: 'x' }) })
  assert.equal(refused.status, 403)
  assert.equal(refused.headers.get('content-type')?.split(';')[0], 'application/problem+json')
  assert.equal((await fetch(`${url}/api/notes`)).status, 401)
  assert.equal((await fetch(`${url}/API/NOTES`, { headers: bearer })).status, 404)
  assert.equal((await fetch(`${url}/api/NOTES`, { headers: bearer })).status, 404)

  assert.equal((await admin.delete(`/api/tokens/${id}`)).status, 204)
  assert.equal((await fetch(`${url}/api/notes`, { headers: bearer })).status, 401, 'a revoked token is refused at once')
  assert.equal((await admin.post('/api/auth/logout')).status, 204)
  assert.equal((await admin.get('/api/auth/me')).status, 401)

  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
  assert.ok(!host.output().includes('correct horse'), 'a password is never logged')
  assert.ok(!host.output().includes(token), 'a token is never logged')
})
