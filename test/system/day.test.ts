// A day on the platform, on a real host, a real mail server and a real receiver of webhooks: what people and an agent do, and what reaches whom.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { openReceiver } from '../plugins/projects/receiver.ts'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { startMailServer } from '../support/smtp-server.ts'
import { until } from '../support/until.ts'
import { openOperator } from './harbour-fixture.ts'

const adminPassword = 'correct horse battery'
const soonMs = 30_000

/** It runs an agent's command: with the secrets put in, which it gives back only for this test to see. */
const runner = `
import { definePlugin, z } from 'bulkhead'
const params = z.object({ projectId: z.uuid() })
export default definePlugin({ start ({ routes, plugins }) {
  routes.post('/:projectId', { permission: 'project:write', project: 'params.projectId', params, body: z.object({ command: z.string() }) },
    async ({ input }) => ({ ran: await plugins.secrets.resolve(input.params.projectId, 'agent', input.body.command) }))
} })`

type Body = Record<string, unknown> & { id: string, items: Body[] }
const json = async (asked: Promise<Response>, status: number): Promise<Body> => {
  const answer = await asked
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  return (text === '' ? {} : JSON.parse(text)) as Body
}

test('a day works: project, agent, issue, comment, webhook, mail, secret and the project\'s end', async (t) => {
  const databaseUrl = await createDatabase(t, { migrated: 'plugins' })
  const mail = await startMailServer(t)
  const receiver = await openReceiver(t)
  const plugins = await temporaryFolder(t)
  await writePlugin(plugins, 'runner', { requires: { secrets: '^1.0.0' } }, runner)
  const host = startHost(t, {
    DATABASE_URL: databaseUrl, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: adminPassword,
    PLATFORM_PLUGINS_PATH: `${join(import.meta.dirname, '../../plugins')}:${plugins}`,
    PLATFORM_SMTP_HOST: '127.0.0.1', PLATFORM_SMTP_PORT: String(mail.port), PLATFORM_EGRESS_ALLOW: '127.0.0.1', PROJECTS_WEBHOOK_RETRY_MS: '100'
  })
  const { url } = await host.ready()
  const admin = await signIn(url, 'admin', adminPassword)
  const send = (method: string, token: string) => (path: string, body?: object): Promise<Response> => fetch(`${url}${path}`, {
    method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, ...body !== undefined && { body: JSON.stringify(body) }
  })

  // Morning. Ada is a developer; Weaver is an agent, and to the platform just as much of a user.
  const { items: roles } = await json(admin.get('/api/admin/roles'), 200)
  const person = async (name: string, role: string): Promise<Body> => {
    const user = await json(admin.post('/api/users', { name, email: `${name}@example.org`, password: `a password of ${name}` }), 201)
    await json(admin.post(`/api/admin/users/${user.id}/roles`, { roleId: roles.find(each => each['name'] === role)?.id }), 201)
    return user
  }
  const [ada, weaver] = [await person('ada', 'developer'), await person('weaver', 'agent')]
  const adaHere = await signIn(url, 'ada', 'a password of ada')
  const weaverHere = await signIn(url, 'weaver', 'a password of weaver')

  // Ada makes a project, and has another service told of what happens there.
  const project = await json(adaHere.post('/api/projects', { name: 'loom' }), 201)
  const at = `/api/projects/${project.id}`
  await json(adaHere.post(`${at}/webhooks`, { url: `${receiver.url}/hook`, events: ['issue', 'comment'], secret: 'between us' }), 201)
  receiver.answer('/hook', (response, count) => response.writeHead(count <= 2 ? 503 : 204).end())

  // Weaver sees nothing of it, until Ada lends what is needed there, and nothing else.
  assert.equal((await weaverHere.get(at)).status, 404)
  for (const permission of ['project:read', 'project:write']) {
    await json(adaHere.post('/api/admin/delegations', { delegateId: weaver.id, permission, projectId: project.id, reason: 'looks after the loom' }), 201)
  }
  const { token } = await json(weaverHere.post('/api/tokens', { name: 'run-1', scopes: ['project:read', 'project:write'], projectId: project.id }), 201) as unknown as { token: string }
  const [get, post] = [send('GET', token), send('POST', token)]
  assert.deepEqual((await json(get('/api/projects'), 200)).items.map(({ id }) => id), [project.id])

  // It opens an issue for Ada by its token. It may do nothing beyond that.
  const issue = await json(post(`${at}/issues`, { title: 'The warp is <loose>', labels: ['bug'], assigneeId: ada.id }), 201)
  assert.equal(issue['number'], 1)
  assert.equal((await get(`/api/secrets/projects/${project.id}`)).status, 403)
  assert.equal((await get('/api/users')).status, 404, 'the token works in its project only')

  // Noon. Ada has mail, and answers. So has Weaver then.
  await until(() => mail.to('ada@example.org').length === 1, soonMs)
  const [letter = assert.fail()] = mail.to('ada@example.org')
  assert.match(letter.header('subject').join(), /weaver assigned issue #1 to you in loom: The warp is <loose>/)
  assert.match(letter.part('text/html'), /The warp is &lt;loose&gt;/)
  await json(adaHere.post(`${at}/issues/1/comments`, { body: 'Tighten it, please.' }), 201)
  await until(() => mail.to('weaver@example.org').length === 1, soonMs)
  assert.match(mail.to('weaver@example.org')[0]?.part('text/plain') ?? '', /Tighten it, please\./)
  const inbox = await json(adaHere.get('/api/notifications'), 200)
  assert.deepEqual([inbox['unread'], inbox.items.map(({ kind }) => kind)], [1, ['issue.assigned']])

  // The other service was not there at first. It has all of it by now, once each, signed.
  const tries = (event: string) => receiver.at('/hook').filter(({ headers }) => headers['x-platform-event'] === event)
  await until(() => receiver.at('/hook').length === 4, soonMs)
  for (const { headers, body } of receiver.at('/hook')) {
    assert.equal(headers['x-platform-signature'], `sha256=${createHmac('sha256', 'between us').update(body).digest('hex')}`)
  }
  assert.deepEqual([tries('issue').length, tries('comment').length], [3, 1])
  assert.equal(new Set(tries('issue').map(({ headers }) => headers['x-platform-delivery'])).size, 1, 'a delivery that is tried again is the same one')
  assert.equal((JSON.parse(tries('issue')[0]?.body ?? '') as { issue: Body }).issue['title'], 'The warp is <loose>')

  // Afternoon. The agent needs a key, which nobody is shown; it is changed, and the next run has the new one.
  const put = (body: object): Promise<Response> => fetch(`${url}/api/secrets/projects/${project.id}/LOOM_KEY`, {
    method: 'PUT', headers: { cookie: admin.cookie, origin: url, 'content-type': 'application/json' }, body: JSON.stringify(body)
  })
  const run = async (command: string, status = 201): Promise<Body> => json(post(`/api/runner/${project.id}`, { command }), status)
  await json(put({ value: 'first-key-of-the-loom', scope: 'agent', version: 0 }), 200)
  assert.equal((await run('weave --key ${{ secrets.LOOM_KEY }}', 200))['ran'], 'weave --key first-key-of-the-loom')
  await json(put({ value: 'second-key-of-the-loom', version: 1 }), 200)
  assert.equal((await put({ value: 'third', version: 1 })).status, 409, 'whoever has not seen the second version does not replace it')
  assert.equal((await run('weave --key ${{ secrets.LOOM_KEY }}', 200))['ran'], 'weave --key second-key-of-the-loom')
  assert.match(JSON.stringify(await run('weave ${{ secrets.OTHER }}', 422)), /OTHER/)
  const seen = JSON.stringify(await json(adaHere.get(`/api/secrets/projects/${project.id}`), 200))
  assert.match(seen, /LOOM_KEY/)
  assert.doesNotMatch(seen, /of-the-loom/)

  // The work is done. Evening: the project goes, and with it whatever could be done there.
  await json(post(`${at}/issues/1/close`), 200)
  assert.equal((await post(`${at}/issues/1/close`)).status, 409)
  await json(adaHere.delete(at), 204)
  for (const answer of [adaHere.get(at), weaverHere.get(at), get(`${at}/issues`), post(`${at}/issues`, { title: 'Too late' })]) assert.equal((await answer).status, 404)
  await json(adaHere.post('/api/projects', { name: 'loom' }), 201)

  // The log tells all of it, and the database holds no secret that anyone could read.
  const { items } = await json(admin.get('/api/admin/audit?limit=100'), 200)
  const story = items.toReversed().filter(entry => entry['projectId'] === project.id && entry['action'] !== 'request.refuse').map(({ actorName, action }) => `${String(actorName)} ${String(action)}`)
  assert.deepEqual(story, [
    'ada project.create', 'ada webhook.create', 'ada delegation.create', 'ada delegation.create', 'weaver token.create', 'weaver issue.open', 'ada comment.create',
    'admin secret.create', 'admin secret.replace', 'weaver issue.close', 'ada project.delete'
  ])
  const operator = await openOperator(t, databaseUrl)
  const secrets = ['of-the-loom', 'between us']
  const tables = await operator.rows('select format(\'%I.%I\', schemaname, tablename) as name from pg_tables where schemaname not in (\'pg_catalog\', \'information_schema\')')
  for (const { name } of tables) {
    // Bytes are written in hexadecimal digits.
    const found = await operator.rows(`select 1 from ${String(name)} as held where held::text ~ $1`, [secrets.flatMap(text => [text, Buffer.from(text).toString('hex')]).join('|')])
    assert.deepEqual(found, [], String(name))
  }
  assert.doesNotMatch(host.output(), /of-the-loom|between us/)
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})
