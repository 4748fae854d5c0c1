// The plugin notify in two real hosts on one database, with a real mail server: who is told what, how, how often, and what they see of it live.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { signIn } from '../support/client.ts'
import type { EventStream } from '../support/event-stream.ts'
import { undo } from '../support/undo.ts'
import { until } from '../support/until.ts'
import { openTown, password, type Person, type Town } from './notify-fixture.ts'

const soonMs = 30_000

/** Runs the digest as if everything of this person were due. */
async function digest ({ rows, admin }: Town, { id }: Person): Promise<void> {
  await rows('update notify.gathered set due_at = now() where user_id = $1', [id])
  // One of its own tick may be under way.
  await until(async () => (await admin.post('/api/tasks/run', { task: 'notify/digest' })).status !== 409, soonMs)
  await until(async () => (await rows('select from notify.gathered where user_id = $1', [id])).length === 0, soonMs)
}

test('notify', { concurrency: true }, async (t) => {
  const town = await openTown(t, 2)
  const { mail, rows, list, send, publish, addPerson, addProject, stream } = town

  const parts: Record<string, (t: TestContext) => Promise<void>> = {
    async 'a mail that is refused is sent again as the same mail, and says what was written without being changed by it' () {
      const ada = await addPerson('ada')
      mail.refuse(ada.email, 2)
      const subject = 'A <b>"bold"</b> ünicode title\r\nBcc: eve@example.org\r\n\r\nand a body'
      const text = 'First & <script>alert(1)</script>\n\n.\r\nRCPT TO:<eve@example.org>\r\nsecond "line" ünicode'
      await send(ada, { subject, text })
      await until(() => mail.to(ada.email).length === 1, soonMs)
      const [received] = mail.to(ada.email)
      assert.ok(received)
      const [first, second] = mail.refused.filter(({ to }) => to.includes(ada.email))
      assert.deepEqual([first, second, received].map(one => one?.header('message-id')), Array(3).fill(received.header('message-id')))
      assert.match(received.header('message-id')[0] ?? '', /^<[0-9a-f-]{36}@bulkhead\.example>$/)
      assert.deepEqual([received.to, received.header('to'), received.header('bcc'), received.header('from')], [[ada.email], [`ada <${ada.email}>`], [], ['Bulkhead <platform@bulkhead.example>']])
      assert.deepEqual(received.header('subject'), ['A <b>"bold"</b> ünicode title Bcc: eve@example.org and a body'])
      assert.equal(received.part('text/plain').replaceAll('\r\n', '\n'), 'First & <script>alert(1)</script>\n\n.\nRCPT TO:<eve@example.org>\nsecond "line" ünicode')
      const page = received.part('text/html')
      assert.match(page, /<h1[^>]*>A &lt;b&gt;&quot;bold&quot;&lt;\/b&gt; ünicode title Bcc/)
      assert.match(page, /<p[^>]*>First &amp; &lt;script&gt;alert\(1\)&lt;\/script&gt;<\/p>/)
      assert.doesNotMatch(page, /<script|<b>/)
      await until(async () => (await rows('select from notifications where user_id = $1 and channel = \'email\' and status = \'sent\'', [ada.id])).length === 1, soonMs)
      assert.deepEqual(await rows('select attempts, error from notify.delivery d join notifications n on n.id = d.notification_id where n.user_id = $1', [ada.id]), [{ attempts: 3, error: null }])
      const { items, unread } = await list(ada)
      assert.deepEqual([items.map(item => item.subject), unread], [['A <b>"bold"</b> ünicode title Bcc: eve@example.org and a body'], 1])
    },

    async 'a mail that is refused for good is not sent again, and nor is one to nobody or one of a transaction that rolled back' () {
      const bob = await addPerson('bob')
      mail.refuse(bob.email, 100, 554)
      await send(bob)
      await until(async () => (await rows('select from notifications where user_id = $1 and channel = \'email\' and status = \'failed\'', [bob.id])).length === 1, soonMs)
      assert.equal(mail.refused.filter(({ to }) => to.includes(bob.email)).length, 1)
      assert.equal((await town.admin.post('/api/teller/rolled-back', { to: bob.id })).status, 500)
      const gone = await addPerson('gone')
      await town.admin.delete(`/api/users/${gone.id}`)
      await send(gone)
      await until(async () => (await rows('select from pgboss.job where name = \'notify/tell\' and data::text like \'%\' || $1 || \'%\' and state = \'completed\'', [gone.id])).length === 1, soonMs)
      assert.deepEqual(await rows('select from notifications where user_id = $1', [gone.id]), [])
      assert.equal((await list(bob)).total, 1)
      assert.deepEqual(await (await fetch(`${town.urls[0]}/api/teller/html`)).json(), { html: '<b>&lt;i&gt;</b>' })
      const answer = await town.admin.post('/api/teller/send', { to: 'nobody', notice: { kind: 'Bad Kind', subject: '', text: 'x' } })
      assert.equal(answer.status, 422)
    },

    async 'past a hundred within an hour the rest comes as one digest, however fast it is sent' () {
      const carol = await addPerson('carol')
      await Promise.all([send(carol, { subject: 'A %' }, 65), send(carol, { subject: 'B %' }, 65)])
      await until(async () => {
        const [row] = await rows('select (select count(*) from notifications where user_id = $1 and channel = \'in_app\')::int as told, (select count(*) from notify.gathered where user_id = $1)::int as gathered', [carol.id])
        return Number(row?.['told']) + Number(row?.['gathered']) === 130
      }, soonMs)
      assert.deepEqual([(await list(carol)).total, (await rows('select from notify.gathered where user_id = $1 and in_app and email', [carol.id])).length], [100, 30])
      await until(() => mail.to(carol.email).length === 100, soonMs)
      await digest(town, carol)
      await until(() => mail.to(carol.email).length === 101, soonMs)
      const [newest] = (await list(carol, '?limit=1')).items
      assert.deepEqual([newest?.kind, newest?.subject, newest?.text.split('\n').length], ['digest', '30 notifications', 30])
      assert.deepEqual(mail.to(carol.email).at(-1)?.header('subject'), ['30 notifications'])
      assert.equal(new Set(mail.to(carol.email).map(one => one.header('message-id')[0])).size, 101)
      // An hour later there is room again.
      await rows('update notify.inbox set recent = array(select at - interval \'1 hour\' from unnest(recent) as at) where user_id = $1', [carol.id])
      await send(carol, { subject: 'later' })
      await until(async () => (await list(carol)).total === 102, soonMs)
    },

    async 'a person says by kind and channel what reaches them, and what is put off is gathered in one mail' () {
      const dan = await addPerson('dan')
      const put = async (items: object[], status = 200): Promise<unknown> => {
        const answer = await fetch(`${town.urls[0]}/api/notifications/preferences`, {
          method: 'PUT', headers: { cookie: dan.cookie, origin: town.urls[0], 'content-type': 'application/json' }, body: JSON.stringify({ items })
        })
        assert.equal(answer.status, status, await answer.clone().text())
        return answer.json()
      }
      const items = [
        { kind: '*', channel: 'email', mode: 'off' }, { kind: 'build.done', channel: 'email', mode: 'hourly' }, { kind: 'build.done', channel: 'in_app', mode: 'off' },
        { kind: 'loud', channel: 'email', mode: 'now' }
      ]
      assert.deepEqual(await put(items), { items })
      assert.match(JSON.stringify(await put([{ kind: '*', channel: 'in_app', mode: 'hourly' }], 422)), /body\.items\.0\.mode.*only e-mail comes hourly or daily/)
      await put([{ kind: 'Not A Kind', channel: 'email', mode: 'off' }], 422)
      assert.deepEqual((await (await dan.get('/api/notifications/preferences')).json() as { items: unknown }).items, items)
      for (const kind of ['quiet', 'build.done', 'build.done', 'loud']) await send(dan, { kind, subject: `about ${kind} %` })
      await until(() => mail.to(dan.email).length === 1, soonMs)
      await until(async () => (await rows('select from notify.gathered where user_id = $1 and email and not in_app', [dan.id])).length === 2, soonMs)
      await until(async () => (await list(dan)).total === 2, soonMs)
      assert.deepEqual((await list(dan)).items.map(({ kind }) => kind).toSorted(), ['loud', 'quiet'])
      assert.deepEqual(mail.to(dan.email)[0]?.header('subject'), ['about loud 1'])
      await digest(town, dan)
      await until(() => mail.to(dan.email).length === 2, soonMs)
      assert.deepEqual([mail.to(dan.email)[1]?.header('subject'), mail.to(dan.email)[1]?.part('text/plain').replaceAll('\r\n', '\n')],
        [['2 notifications'], '- about build.done 1\n- about build.done 1'])
      assert.equal((await list(dan)).total, 2, 'in the platform it stays off')
    },

    async 'events of other plugins reach whom they concern, and nobody who may not see the project' () {
      const [owner, author, stranger] = [await addPerson('owner'), await addPerson('author'), await addPerson('stranger')]
      const [secret, open] = [await addProject(owner), await addProject(owner, 'internal')]
      const actor = { id: owner.id, name: owner.name, more: true }
      const issue = (assigneeId: string | null) => ({ id: randomUUID(), number: 7, title: 'It <breaks>', status: 'open', authorId: author.id, assigneeId, labels: [] })
      const fact = (project: object, more: object) => ({ actor, project, at: new Date().toISOString(), later: { added: 1 }, ...more })
      await publish('issue.opened', fact(open, { issue: issue(stranger.id) }))
      await publish('issue.opened', fact(secret, { issue: issue(stranger.id) }))
      await publish('comment.created', fact(open, { comment: { id: randomUUID(), body: 'Why?', authorId: owner.id }, issue: issue(stranger.id) }))
      await publish('issue.changed', fact(open, { issue: issue(stranger.id), changes: ['title'] }))
      await publish('webhook.disabled', { actor: null, project: secret, at: '', webhook: { id: randomUUID(), url: 'https://example.org/hook' }, reason: '50 failures in a row' })
      await until(async () => (await list(stranger)).total === 2 && (await list(author)).total === 1 && (await list(owner)).total === 1, soonMs)
      assert.deepEqual((await list(stranger)).items.map(({ kind, subject }) => [kind, subject]).toSorted(), [
        ['comment.created', `owner commented on issue #7 in ${open.name}: It <breaks>`], ['issue.assigned', `owner assigned issue #7 to you in ${open.name}: It <breaks>`]
      ])
      assert.match((await list(author)).items[0]?.text ?? '', /Why\?$/)
      assert.equal((await list(owner)).items[0]?.kind, 'webhook.disabled')

      // With a role in the project it is theirs to know; when that goes before the mail does, it does not go.
      await until(() => mail.to(author.email).length === 1, soonMs)
      mail.refuse(author.email, 1)
      await rows('insert into user_roles (user_id, role_id, project_id) select $1, id, $2 from roles where name = \'viewer\'', [author.id, secret.id])
      await publish('merge-request.merged', fact(secret, { mergeRequest: { id: randomUUID(), number: 3, title: 'Mend it', authorId: author.id, status: 'merged', sourceBranch: 'a', targetBranch: 'main' } }))
      await until(async () => (await list(author)).total === 2, soonMs)
      await until(() => mail.refused.some(({ to }) => to.includes(author.email)), soonMs)
      await rows('delete from user_roles where user_id = $1', [author.id])
      await rows('update bulkhead.access_epoch set value = value + 1')
      await until(async () => (await rows('select from notifications where user_id = $1 and channel = \'email\' and notification_type = \'merge-request.merged\' and status = \'failed\'', [author.id])).length === 1, soonMs)
      assert.deepEqual(mail.to(author.email).filter(one => one.header('subject')[0]?.includes('Mend it') === true), [])
    },

    async 'unread is right however many are told and read at once, and everyone has their own' () {
      const [erin, frank] = [await addPerson('erin'), await addPerson('frank', 1)]
      await Promise.all([send(erin, {}, 30), send(erin, {}, 30), send(frank, {}, 1)])
      await until(async () => (await list(erin)).total === 60, soonMs)
      const { items } = await list(erin, '?limit=40')
      const answers = await Promise.all([...items, ...items.slice(0, 10)].map(({ id }) => erin.post(`/api/notifications/${id}/read`)))
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
      assert.deepEqual([(await list(erin)).unread, (await list(erin, '?unread=true')).total, (await list(frank)).unread], [20, 20, 1])
      assert.equal((await frank.post(`/api/notifications/${items[0]?.id ?? ''}/read`)).status, 404)
      assert.equal((await erin.post(`/api/notifications/${randomUUID()}/read`)).status, 404)
      const [one, other] = await Promise.all([erin.post('/api/notifications/read'), erin.post('/api/notifications/read')])
      const counts = await Promise.all([one, other].map(async answer => (await answer.json() as { read: number }).read))
      assert.equal(counts.reduce((sum, count) => sum + count), 20)
      assert.deepEqual([await (await erin.get('/api/notifications/unread')).json(), (await list(frank)).unread], [{ unread: 0 }, 1])
    },

    async 'a webhook of one\'s own gets what one is told, and none goes where plugins may not reach' (t) {
      const gail = await addPerson('gail')
      const posted: unknown[] = []
      const receiver = createServer((req, res) => {
        let text = ''
        req.on('data', (chunk: Buffer) => { text += chunk.toString() }).on('end', () => {
          posted.push({ ...JSON.parse(text) as object, event: req.headers['x-platform-event'] })
          res.writeHead(posted.length === 1 ? 503 : 204).end()
        })
      }).listen(0, '127.0.0.1')
      await once(receiver, 'listening')
      undo(t, () => { receiver.close(); receiver.closeAllConnections() })
      const put = (url: string): Promise<Response> => fetch(`${town.urls[0]}/api/notifications/webhook`, {
        method: 'PUT', headers: { cookie: gail.cookie, origin: town.urls[0], 'content-type': 'application/json' }, body: JSON.stringify({ url })
      })
      assert.equal((await put(`http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`)).status, 200)
      for (const url of ['ftp://example.org', 'javascript:alert(1)', 'http://user:pw@example.org/', 'nonsense']) assert.equal((await put(url)).status, 422, url)
      const ref = { type: 'issue', id: randomUUID() }
      await send(gail, { ref })
      await until(() => posted.length === 2, soonMs)
      const [first, second] = posted as { id: string, kind: string, subject: string, ref: unknown, event: string }[]
      assert.deepEqual([first?.id, second?.kind, second?.subject, second?.ref, second?.event], [second?.id, 'test', 'Hello 1', ref, 'test'])
      assert.equal((await put('http://10.0.0.1/hook')).status, 200)
      await send(gail)
      const failed = 'select error from notify.delivery d join notifications n on n.id = d.notification_id where n.user_id = $1 and channel = \'webhook\' and status = \'failed\''
      await until(async () => (await rows(failed, [gail.id])).length === 1, soonMs)
      assert.match(String((await rows(failed, [gail.id]))[0]?.['error']), /may not reach 10\.0\.0\.1 on port 80/)
      assert.equal((await gail.delete('/api/notifications/webhook')).status, 204)
      assert.equal((await gail.get('/api/notifications/webhook')).status, 404)
    },

    async 'what is told in one replica is seen live in another, from where the client left off, until the session ends' () {
      const [hugo, ivy] = [await addPerson('hugo', 1), await addPerson('ivy')]
      const [here, there, other] = [await stream(hugo, 0), await stream(hugo, 1), await stream(ivy)]
      const told = ({ events }: EventStream): string[] => events.filter(({ event }) => event === 'notification').map(({ data }) => (JSON.parse(data) as { subject: string }).subject)
      const unread = ({ events }: EventStream): unknown => events.filter(({ event }) => event === 'unread').at(-1)?.data
      await until(() => unread(here) === '{"unread":0}' && unread(there) === '{"unread":0}', soonMs)
      await send(hugo, { subject: 'first' })
      await until(() => [here, there].every(one => told(one).length === 1 && unread(one) === '{"unread":1}'), soonMs)
      assert.deepEqual([told(here), told(there), told(other)], [['first'], ['first'], []])
      const { id } = there.events.find(({ event }) => event === 'notification') ?? { id: '' }
      there.close()
      await send(hugo, { subject: 'missed %' }, 3)
      await until(() => told(here).length === 4, soonMs)
      const again = await stream(hugo, 1, { 'last-event-id': id })
      await until(() => told(again).length === 3, soonMs)
      assert.deepEqual(told(again), told(here).slice(1))
      assert.equal((await hugo.post('/api/notifications/read')).status, 200)
      await until(() => [here, again].every(one => unread(one) === '{"unread":0}') && here.comments() > 1, soonMs)

      const many = await Promise.all(Array.from({ length: 10 }, () => stream(ivy)))
      assert.deepEqual(many.map(({ status }) => status).toSorted(), [...Array<number>(9).fill(200), 429])
      for (const one of many) one.close()
      await hugo.post('/api/auth/logout')
      await until(() => here.hasEnded() && again.hasEnded(), soonMs)
      assert.equal(other.hasEnded(), false)
      other.close()
    }
  }
  await Promise.all(Object.entries(parts).map(([name, part]) => t.test(name, part)))

  await t.test('a stream ends when its plugin is replaced and when its host stops, and holds up neither', async () => {
    const [host] = town.hosts.slice(1)
    const jane = await addPerson('jane', 1)
    const replaced = await stream(jane, 1)
    const admin = await signIn(town.urls[1] ?? '', 'admin', password)
    assert.equal((await admin.post('/api/plugins/notify/reload')).status, 200)
    await until(() => replaced.hasEnded(), soonMs)
    const stopped = await stream(jane, 1)
    await send(jane)
    await until(() => stopped.events.some(({ event }) => event === 'notification'), soonMs)
    host?.signal('SIGTERM')
    await until(() => stopped.hasEnded(), soonMs)
    assert.equal(await host?.ended, 0)
  })
})

test('a replica that dies while it sends a mail loses none: another sends it as the same mail', {
  skip: process.env['BULKHEAD_LONG'] === undefined && 'waits for a takeover; BULKHEAD_LONG=1 runs it'
}, async (t) => {
  const { hosts: [first], mail, addPerson, send, start, rows } = await openTown(t, 1)
  const kim = await addPerson('kim')
  mail.hold(kim.email)
  await send(kim)
  await until(() => mail.held.length === 1, soonMs)
  first?.signal('SIGKILL')
  await start()
  await until(() => mail.to(kim.email).length === 1, 2 * soonMs)
  assert.deepEqual(mail.to(kim.email)[0]?.header('message-id'), mail.held[0]?.header('message-id'))
  await until(async () => (await rows('select from notifications where user_id = $1 and channel = \'email\' and status = \'sent\'', [kim.id])).length === 1, soonMs)
})
