// Webhooks over real HTTP: signed, tried again, logged, switched off after too many failures, and never in each other's way.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { until } from '../../support/until.ts'
import { all, openHouse, type Body } from './fixture.ts'
import { openReceiver } from './receiver.ts'

const secret = 'a secret between us'

test('webhooks', { concurrency: true }, async (t) => {
  const receiver = await openReceiver(t)
  const house = await openHouse(t, { PLATFORM_EGRESS_ALLOW: '127.0.0.1', PROJECTS_WEBHOOK_RETRY_MS: '200', PROJECTS_WEBHOOK_ATTEMPTS: '60' })
  const { admin } = house
  const [owner, reader] = await Promise.all([house.person('developer'), house.person()])
  const make = async (name: string): Promise<string> => `/projects/${(await owner.post('/projects', { name, visibility: 'internal' })).id}`
  const hook = async (project: string, path: string, more: object = {}): Promise<string> =>
    `${project}/webhooks/${(await owner.post(`${project}/webhooks`, { url: `${receiver.url}${path}`, events: ['issue', 'mr', 'comment'], secret, ...more })).id}`
  const delivered = async (at: string, status: string): Promise<Body[]> => {
    let items: Body[] = []
    await until(async () => (items = (await owner.get(`${at}/deliveries`)).items).length > 0 && items.every(each => each.status === status))
    return items
  }

  await Promise.all([
    t.test('an event arrives signed under an id of its own, after two refusals under the same id', async () => {
      const project = await make('signed')
      receiver.answer('/signed', (response, count) => { response.writeHead(count <= 2 ? 503 : 200).end('thanks') })
      const at = await hook(project, '/signed')
      const { number } = await owner.post(`${project}/issues`, { title: 'Ünïcode', labels: ['a'] })
      await until(() => receiver.at('/signed').length === 3)
      const [first, second, third] = receiver.at('/signed')
      assert.ok(first && second && third)
      assert.deepEqual([first.headers['x-platform-event'], first.headers['content-type']], ['issue', 'application/json'])
      assert.equal(first.headers['x-platform-signature'], `sha256=${createHmac('sha256', secret).update(first.body).digest('hex')}`)
      for (const again of [second, third]) {
        assert.deepEqual([again.body, again.headers['x-platform-delivery'], again.headers['x-platform-signature']],
          [first.body, first.headers['x-platform-delivery'], first.headers['x-platform-signature']])
      }
      assert.ok(second.atMs - first.atMs >= 190 && third.atMs - second.atMs >= 390, 'each wait is twice the one before')
      const { event, action, actor, issue } = JSON.parse(first.body) as Record<string, Record<string, unknown>>
      assert.deepEqual([event, action, actor?.id, issue?.title, issue?.number], ['issue', 'issue.opened', owner.id, 'Ünïcode', number])

      const [entry] = await delivered(at, 'delivered')
      assert.deepEqual([entry?.id, entry?.attempts, entry?.answered, entry?.error, entry?.nextAttemptAt], [first.headers['x-platform-delivery'], 3, 200, null, null])
      assert.equal((await owner.get(`${at}/deliveries/${entry?.id ?? ''}`)).payload, first.body)
      assert.equal((await owner.get(at)).failures, 0)

      // Comments and merge requests are told, too; what nobody asked for is not.
      await reader.post(`${project}/issues/${number}/comments`, { body: 'hear, hear' })
      await owner.post(`${project}/merge-requests`, { title: 'm', sourceBranch: 'a' })
      await owner.patch(at, { events: ['mr'] })
      await owner.post(`${project}/issues/${number}/close`, undefined, 200)
      await owner.post(`${project}/merge-requests/1/merge`, undefined, 200)
      await until(() => receiver.at('/signed').length === 6)
      assert.deepEqual(receiver.at('/signed').slice(3).map(({ headers, body }) => [headers['x-platform-event'], (JSON.parse(body) as Body).action]).sort(),
        [['comment', 'comment.created'], ['mr', 'merge-request.merged'], ['mr', 'merge-request.opened']])
      assert.equal(new Set(receiver.at('/signed').map(({ headers }) => headers['x-platform-delivery'])).size, 4)
    }),

    t.test('the secret is sealed in the database and in no answer; a URL with credentials is refused', async () => {
      const project = await make('sealed')
      const made = await owner.post(`${project}/webhooks`, { url: `${receiver.url}/sealed?key=1`, events: ['issue'], secret })
      assert.equal(made.hasSecret, true)
      const [row] = await house.rows('select secret from webhooks where id = $1', [made.id])
      assert.ok(!Buffer.from(String(row?.secret), 'base64').includes(secret) && String(row?.secret).length > 40)
      const answers = [made, await owner.get(`${project}/webhooks`), await owner.patch(`${project}/webhooks/${made.id}`, { secret: 'another secret' }), await owner.get(`${project}/webhooks/${made.id}`)]
      const log = await admin.get(`/admin/audit?resource=webhook&resourceId=${made.id}`)
      for (const answer of [...answers, log]) assert.doesNotMatch(JSON.stringify(answer), /a secret between us|another secret/)
      assert.doesNotMatch(JSON.stringify(log), /key=1/)
      assert.deepEqual(log.items.map(({ action }) => action), ['webhook.change', 'webhook.create'])
      await owner.post(`${project}/webhooks/${made.id}/ping`)
      await until(() => receiver.at('/sealed?key=1').length === 1)
      const [ping] = receiver.at('/sealed?key=1')
      assert.deepEqual([ping?.headers['x-platform-event'], ping?.headers['x-platform-signature']],
        ['ping', `sha256=${createHmac('sha256', 'another secret').update(ping?.body ?? '').digest('hex')}`])

      for (const url of ['', 'ftp://a/', 'https://user:word@a/', 'https://user@a/', '//a/', 'javascript:alert(1)', 'http://', 'https://a/ b']) {
        assert.deepEqual((await owner.post(`${project}/webhooks`, { url, events: ['issue'] }, 422)).errors.map(({ path }) => path), ['body.url'], url)
      }
      for (const events of [[], ['ping'], ['all'], 'issue']) await owner.post(`${project}/webhooks`, { url: receiver.url, events }, 422)
      // Without a secret there is no signature. Readers see none of it.
      const plain = await hook(project, '/plain', { secret: null })
      await owner.post(`${plain}/ping`)
      await until(() => receiver.at('/plain').length === 1)
      assert.equal(receiver.at('/plain')[0]?.headers['x-platform-signature'], undefined)
      for (const path of ['', `/${made.id}`, `/${made.id}/deliveries`]) await reader.get(`${project}/webhooks${path}`, 403)
      await reader.post(`${project}/webhooks/${made.id}/ping`, undefined, 403)
      const other = await make('other-sealed')
      await owner.get(`${other}/webhooks/${made.id}`, 404)
      await owner.get(`${plain}/deliveries/${made.id}`, 404)
    }),

    t.test('other plugins tell of pushes, builds and deployments, if their transaction commits', async () => {
      const project = await make('pushed')
      await hook(project, '/pushed', { events: ['push', 'deploy'] })
      const announce = (event: string, fails: boolean, status: number): Promise<Body> =>
        owner.post('/ear/announce', { projectId: project.slice('/projects/'.length), event, fails }, status)
      await announce('push', true, 500)
      for (const event of ['push', 'build', 'deploy']) await announce(event, false, 204)
      await until(() => receiver.at('/pushed').length === 2)
      assert.deepEqual(receiver.at('/pushed').map(({ headers, body }) => [headers['x-platform-event'], body]),
        ['push', 'deploy'].map(event => [event, `{"event":"${event}","ref":"refs/heads/main"}`]))
    }),

    t.test('neither a redirect nor an address inside is followed, and both are failures', async () => {
      const project = await make('led-astray')
      receiver.answer('/astray', response => { response.writeHead(302, { location: `${receiver.url}/trap` }).end() })
      const at = await hook(project, '/astray')
      const inside = `${project}/webhooks/${(await owner.post(`${project}/webhooks`, { url: 'http://169.254.169.254/latest', events: ['issue'] })).id}`
      for (const each of [at, inside]) await owner.post(`${each}/ping`)
      const errorOf = async (each: string): Promise<unknown> => {
        await until(async () => Number((await owner.get(each)).failures) > 0)
        return (await owner.get(`${each}/deliveries`)).items[0]?.error
      }
      assert.equal(await errorOf(at), 'The receiver answered 302.')
      assert.equal(await errorOf(inside), 'The address is not one of the public internet.')
      assert.equal(receiver.at('/trap').length, 0)
      for (const each of [at, inside]) await owner.delete(each)
      await owner.get(at, 404)
    }),

    t.test('a receiver that never answers holds back nobody else', async () => {
      const project = await make('slow')
      let [open, openMax] = [0, 0]
      receiver.answer('/slow', response => {
        openMax = Math.max(openMax, open += 1)
        response.once('close', () => { open -= 1 })
      })
      const slow = await hook(project, '/slow')
      await hook(project, '/quick')
      await Promise.all(Array.from({ length: 10 }, (_, index) => owner.post(`${project}/issues`, { title: `issue ${index}` })))
      await until(() => receiver.at('/quick').length === 10)
      // Switched off, what still waits for it is not sent.
      await owner.patch(slow, { active: false })
      await owner.post(`${slow}/ping`, undefined, 409)
      await until(async () => (await all(owner, `${slow}/deliveries`, 5)).every(({ status }) => status === 'cancelled'))
      assert.equal(openMax, 1, 'one at a time')
      assert.ok(receiver.at('/slow').length < 10)
    }),

    t.test('a webhook is disabled with a notice after 50 failures; enabling it resends what failed', async () => {
      const project = await make('dead')
      receiver.answer('/dead', 500)
      const at = await hook(project, '/dead')
      // Fifty of them fail at once, or two of them with their retries: what counts is attempts.
      for (let count = 0; count < 49; count++) await owner.post(`${at}/ping`)
      await owner.post(`${project}/issues`, { title: 'never heard of' })
      await until(async () => (await owner.get(at)).active === false)
      const off = await owner.get(at)
      assert.deepEqual([off.failures, typeof off.disabledAt], [50, 'string'])
      assert.match(String(off.disabledWhy), /The last 50 attempts to reach it failed\. The receiver answered 500\./)
      assert.equal(receiver.at('/dead').length, 50)
      const id = project.slice('/projects/'.length)
      const [told] = await house.heard('webhook.disabled', id)
      assert.deepEqual([told?.webhook, told?.reason, (told?.actor as Body).name], [{ id: off.id, url: `${receiver.url}/dead` }, off.disabledWhy, 'host'])
      assert.equal((await house.heard('webhook.disabled', id)).length, 1)
      await until(async () => (await all(owner, `${at}/deliveries`, 20)).every(({ status }) => status === 'cancelled'))

      receiver.answer('/dead', 200)
      const on = await owner.patch(at, { active: true })
      assert.deepEqual([on.active, on.failures, on.disabledAt, on.disabledWhy], [true, 0, null, null])
      const lost = (await all(owner, `${at}/deliveries`, 20)).find(({ event }) => event === 'issue')
      const again = await owner.post(`${at}/deliveries/${lost?.id ?? ''}/redeliver`)
      assert.deepEqual([again.redeliveryOf, again.status, again.event], [lost?.id, 'pending', 'issue'])
      await until(() => receiver.at('/dead').length === 51)
      assert.equal(receiver.at('/dead').at(-1)?.headers['x-platform-delivery'], again.id)
      assert.match(receiver.at('/dead').at(-1)?.body ?? '', /never heard of/)
    }),

    t.test('the log keeps the last 200 of each webhook, and nothing that is older than 30 days', async () => {
      const project = await make('bounded')
      const at = await hook(project, '/bounded')
      const id = at.slice(at.lastIndexOf('/') + 1)
      await house.rows(`
        insert into projects.delivery (webhook_id, event, payload, status, created_at)
        select $1, 'issue', '{}', case when n = 250 then 'pending' else 'delivered' end, now() - n * interval '1 minute' from generate_series(1, 250) n`, [id])
      await house.rows('insert into projects.delivery (webhook_id, event, payload, status, created_at) select $1, \'mr\', \'{}\', \'failed\', now() - interval \'31 days\'', [id])
      await admin.post('/tasks/run', { task: 'projects/trim-deliveries' }, 200)
      await until(async () => (await owner.get(`${at}/deliveries`)).total === 201)
      assert.equal((await all(owner, `${at}/deliveries`, 100)).at(-1)?.status, 'pending')
      // What was sent goes with the webhook.
      await owner.delete(at)
      assert.deepEqual(await house.rows('select from projects.delivery where webhook_id = $1', [id]), [])
    }),

    t.test('a project has 50 webhooks at most', async () => {
      const project = await make('many')
      const made = await Promise.allSettled(Array.from({ length: 53 }, () => owner.post(`${project}/webhooks`, { url: receiver.url, events: ['push'] })))
      assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 50)
      assert.equal((await owner.get(`${project}/webhooks`)).total, 50)
      assert.equal((await admin.get(`/admin/audit?projectId=${project.slice('/projects/'.length)}&action=webhook.create`)).total, 50)
    })
  ])
})
