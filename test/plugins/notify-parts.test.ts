// The parts of the plugin notify that need no host: what events mean, what becomes of text, when a digest is due, how mail is sent.

import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { test } from 'node:test'
import fc from 'fast-check'
import type { SMTPServerOptions } from 'smtp-server'
import { registerBulkhead } from '../../core/plugin-runtime/index.ts'
import { createCertificate } from '../support/certificate.ts'
import { startMailServer } from '../support/smtp-server.ts'
import { undo } from '../support/undo.ts'

registerBulkhead()
const { readings } = await import('../../plugins/notify/event.ts')
const { createMailer, Undeliverable } = await import('../../plugins/notify/mail.ts')
const { dueAt } = await import('../../plugins/notify/period.ts')
const { escapeHtml, html, toHtml, toLine, toText } = await import('../../plugins/notify/text.ts')

const [ada, bob, carol] = ['a', 'b', 'c'].map(letter => `0192f0c1-2a3b-7c4d-8e5f-60718293a4b${letter}`) as [string, string, string]
const thing = '0192f0c1-2a3b-7c4d-8e5f-60718293a4b0'
const project = { id: thing, name: 'demo', ownerId: carol }
const issue = { id: thing, number: 5, title: 'Title', authorId: ada, assigneeId: bob }
const mergeRequest = { id: thing, number: 6, title: 'Title', authorId: ada, status: 'open', sourceBranch: 'x', targetBranch: 'main' }
const comment = (authorId: string) => ({ id: thing, body: 'Yes', authorId })
const by = (id: string) => ({ actor: { id, name: 'Someone' }, project, at: '2026-01-01T00:00:00.000Z' })

test('each event is told to whom it concerns, once, and never to who did it', () => {
  const told: [event: string, payload: object, to: string[]][] = [
    ['issue.opened', { ...by(ada), issue }, [bob]],
    ['issue.opened', { ...by(bob), issue }, []],
    ['issue.opened', { ...by(ada), issue: { ...issue, assigneeId: null } }, []],
    ['issue.changed', { ...by(ada), issue, changes: ['assigneeId', 'title'] }, [bob]],
    ['issue.changed', { ...by(ada), issue, changes: ['assignee'] }, [bob]],
    ['issue.changed', { ...by(ada), issue, changes: ['title'] }, []],
    ['issue.changed', { ...by(ada), issue }, []],
    ['comment.created', { ...by(carol), comment: comment(carol), issue }, [ada, bob]],
    ['comment.created', { ...by(ada), comment: comment(ada), issue }, [bob]],
    ['comment.created', { ...by(carol), comment: comment(carol), issue: { ...issue, assigneeId: ada } }, [ada]],
    ['comment.created', { ...by(bob), comment: comment(bob), issue: null, mergeRequest }, [ada]],
    ['comment.created', { ...by(bob), comment: comment(bob) }, []],
    ['merge-request.reviewed', { ...by(bob), mergeRequest, review: { verdict: 'approve', body: 'Fine' } }, [ada]],
    ['merge-request.reviewed', { ...by(bob), mergeRequest, unknown: 1 }, [ada]],
    ['merge-request.merged', { ...by(ada), mergeRequest }, []],
    ['merge-request.merged', { ...by(bob), mergeRequest }, [ada]],
    ['webhook.disabled', { ...by(carol), webhook: { id: thing, url: 'https://example.org/' }, reason: 'failed' }, [carol]],
    ['webhook.disabled', { actor: null, project: null, webhook: { id: thing, url: 'https://example.org/' } }, []]
  ]
  for (const [event, payload, to] of told) {
    const reading = readings[event]
    assert.ok(reading)
    const notices = reading.read(reading.schema.parse(payload))
    assert.deepEqual(notices.map(notice => notice.to), to, `${event} ${JSON.stringify(payload)}`)
    for (const notice of notices) assert.deepEqual([notice.projectId, notice.subject.includes('in demo')], [project.id, true])
  }
})

test('whatever a text is, a subject is one line, and HTML shows it and nothing else', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), text => {
    const line = toLine(text)
    assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029\u202e]/u)
    assert.ok(Array.from(line).length <= 255)
    assert.doesNotMatch(toText(text), /[^\P{Cc}\n\t]/u)
    assert.doesNotMatch(escapeHtml(text), /[<>"'`]|&(?!amp;|lt;|gt;|quot;|#39;|#96;)/)
    assert.doesNotMatch(toHtml(text, text).replaceAll(/<\/?(?:html|head|meta|title|body|h1|p|!doctype)\b[^<>]*>/g, ''), /[<>]/)
  }))
  assert.equal(toLine('a\r\nBcc: b\u2028c\u202ed'), 'a Bcc: b c d')
  assert.equal(html`<a title="${'"><script>'}">${7}</a>`, '<a title="&quot;&gt;&lt;script&gt;">7</a>')
})

test('a digest is due at the next full hour, or at seven in the morning', () => {
  const due = (period: 'hourly' | 'daily', now: string): string => dueAt(period, Date.parse(now))
  assert.equal(due('hourly', '2026-03-01T10:00:00.000Z'), '2026-03-01T11:00:00.000Z')
  assert.equal(due('hourly', '2026-03-01T10:59:59.999Z'), '2026-03-01T11:00:00.000Z')
  assert.equal(due('daily', '2026-03-01T06:59:00.000Z'), '2026-03-01T07:00:00.000Z')
  assert.equal(due('daily', '2026-03-01T07:00:00.000Z'), '2026-03-02T07:00:00.000Z')
})

const settings = { host: '127.0.0.1', from: 'platform@example.org', username: '', password: '' }
const mail = { id: thing, to: { name: 'Ada "A" <x>,\r\nBcc: eve@example.org', address: 'ada@example.org' }, subject: 'S', text: 'T', html: null, createdAt: '2026-01-01T00:00:00.000Z' }

test('a mail goes to the one it is for, whatever the name and the address look like', async (t) => {
  const server = await startMailServer(t)
  const mailer = createMailer({ ...settings, port: server.port })
  await mailer.send(mail)
  assert.deepEqual([server.mails[0]?.to, server.mails[0]?.header('bcc'), server.mails[0]?.header('date')], [['ada@example.org'], [], ['Thu, 01 Jan 2026 00:00:00 +0000']])
  for (const address of ['a@b.example,eve@example.org', 'a@b.example\r\nRCPT TO:<eve@example.org>', '<a@b.example>', 'a b@c.example', '', 'nobody']) {
    await assert.rejects(mailer.send({ ...mail, to: { name: '', address } }), Undeliverable, address)
  }
  assert.equal(server.mails.length, 1)
})

test('credentials go over TLS or not at all, unless the server is on this machine', async (t) => {
  const asked: string[] = []
  const onAuth: SMTPServerOptions['onAuth'] = (auth, _session, callback) => {
    asked.push(`${auth.username ?? ''}:${auth.password ?? ''}`)
    callback(null, { user: 'platform' })
  }
  const login = { username: 'platform', password: 'hunter2' }
  const plain = await startMailServer(t, { authOptional: false, allowInsecureAuth: true, onAuth })
  // 0.0.0.0 leads to this machine, but is not known to.
  await assert.rejects(createMailer({ ...settings, ...login, host: '0.0.0.0', port: plain.port }).send(mail), /STARTTLS/i)
  assert.deepEqual([asked, plain.mails.length], [[], 0])
  await createMailer({ ...settings, ...login, port: plain.port }).send(mail)
  assert.deepEqual([asked, plain.mails.length], [['platform:hunter2'], 1])

  const secure = await startMailServer(t, { authOptional: false, disabledCommands: [], onAuth, ...createCertificate() })
  await assert.rejects(createMailer({ ...settings, ...login, host: '0.0.0.0', port: secure.port }).send(mail), /certificate|altnames/i, 'nor to whom it cannot be sure of')
  assert.deepEqual([asked.length, secure.mails.length], [1, 0])
  await createMailer({ ...settings, ...login, port: secure.port }).send(mail)
  assert.equal(secure.mails.length, 1)
})

test('an unavailable mail server or a refused login is worth a retry; a refused mail is not', async (t) => {
  const server = await startMailServer(t, { authOptional: false, allowInsecureAuth: true, onAuth: (_auth, _session, callback) => { callback(Object.assign(new Error('no'), { responseCode: 535 })) } })
  const again = (error: unknown): boolean => error instanceof Error && !(error instanceof Undeliverable)
  await assert.rejects(createMailer({ ...settings, port: server.port, username: 'a', password: 'b' }).send(mail), again)
  const rude = createServer(socket => socket.destroy()).listen(0, '127.0.0.1')
  await once(rude, 'listening')
  undo(t, () => { rude.close() })
  await assert.rejects(createMailer({ ...settings, port: (rude.address() as AddressInfo).port }).send(mail), again)
  const strict = await startMailServer(t)
  strict.refuse('ada@example.org', 1, 451)
  await assert.rejects(createMailer({ ...settings, port: strict.port }).send(mail), again)
  strict.refuse('ada@example.org', 1, 550)
  await assert.rejects(createMailer({ ...settings, port: strict.port }).send(mail), Undeliverable)
})
