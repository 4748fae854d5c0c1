import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { z, type Access, type QueueRun } from '../../../core/contract/index.ts'
import { createEncryption } from '../../../core/encryption/index.ts'
import { createContainer, currentOwner, type Owner } from '../../../core/plugin-runtime/index.ts'
import { createScope, type OwnedScope } from '../../../core/plugin-runtime/scope/scope.ts'
import type { Offer } from '../../../core/plugin-runtime/scope/service-handle.ts'
import { clock } from '../plugin-folder.ts'
import { asAny, createFakes, createOwner, inMemory, noWork, refuse, silent } from '../fixture.ts'

interface Made extends OwnedScope {
  calls: string[]
  undone: (() => void | Promise<void>)[]
  faults: unknown[]
  owner: Owner
}

function make (manifest: Parameters<typeof inMemory>[2] = {}, services = new Map<string, Offer>()): Made {
  const { calls, resources } = createFakes()
  const { candidate } = inMemory('invoices', { start () { /* nothing */ } }, manifest)
  const undone: Made['undone'] = []
  const faults: unknown[] = []
  const owner = createOwner('invoices')
  const owned = createScope({
    container: createContainer(resources), candidate, owner, config: { days: 3 }, log: silent, clock, services,
    work: noWork, mayPublish: () => undefined, fetch: refuse,
    signal: new AbortController().signal,
    undo: (_, step) => { undone.push(step) },
    onFault: thrown => { faults.push(thrown) }
  })
  return { ...owned, calls, undone, faults, owner }
}
const offer = (service: unknown, version = '1.0.0'): Offer => ({ service, version, owner: createOwner('other') })
const ended = { code: 'BULKHEAD_SCOPE_ENDED', status: 503, message: 'Plugin "invoices" has ended.' }

test('a scope has what every plugin gets and what the manifest names', async () => {
  const { scope } = make({ resources: ['postgres'] })
  assert.deepEqual(Object.keys(scope), ['id', 'version', 'generation', 'config', 'log', 'signal', 'clock', 'timers', 'listen', 'routes', 'tasks', 'events', 'fetch', 'plugins', 'undo', 'postgres'])
  const { id, version, config, postgres, ...rest } = scope
  assert.deepEqual([id, version, config, rest.log === silent], ['invoices', '1.0.0', { days: 3 }, true])
  assert.deepEqual(await asAny(postgres).any('SELECT 1'), ['SELECT 1'])
  assert.equal(scope.postgres, postgres)
})

test('a resource that the manifest does not name is refused with the line to add', () => {
  const { scope, calls } = make({ resources: ['postgres'] })
  const message = 'Plugin "invoices" asked for "storage" but its manifest does not list it. Add "storage" to "resources" in /plugins/invoices/package.json.'
  assert.throws(() => scope.storage, { code: 'BULKHEAD_NOT_DECLARED', message })
  assert.throws(() => { const { storage } = scope; return storage }, { message })
  assert.throws(() => (scope as unknown as Record<string, unknown>).postgre, { message: 'Plugin "invoices" asked for "postgre", which no scope has. Did you mean "postgres"?' })
  assert.equal('storage' in scope, false)
  assert.deepEqual(calls, [], 'no handle is made before it is asked for')
})

test('names that the language asks for behave as on any object', async () => {
  const { scope } = make({ resources: ['postgres'] })
  const names = scope as unknown as Record<string, unknown>
  assert.equal(names.constructor, Object)
  assert.equal(Object.getPrototypeOf(scope), Object.prototype)
  assert.equal(names.__proto__, Object.prototype)
  assert.equal(Object.prototype.toString.call(scope), '[object Object]')
  assert.equal(await Promise.resolve(scope), scope)
  assert.match(JSON.stringify({ ...scope, clock: undefined }), /"id":"invoices"/)
  assert.match(inspect(scope), /id: \[Getter\]/)
  for (const name of ['cradle', 'fence', 'onEnd', 'register', 'resolve']) assert.throws(() => names[name], { code: 'BULKHEAD_NOT_DECLARED' })
  assert.throws(() => { names.id = 'other' }, TypeError)
  assert.throws(() => { Object.setPrototypeOf(scope, null) }, TypeError)
})

test('other plugins are found by what the manifest requires, when asked for', () => {
  const services = new Map([['mail', offer({ limit: 1 })], ['sms', offer('sms')], ['old', offer('old')]])
  const { scope } = make({ requires: { mail: '*' }, optional: { sms: '*', fax: '*', old: '^2.0.0' } }, services)
  const plugins = scope.plugins as Readonly<Record<string, unknown>>
  assert.deepEqual([plugins.mail, plugins.sms, plugins.fax, plugins.old], [{ limit: 1 }, 'sms', undefined, undefined])
  services.set('mail', offer({ limit: 2 }))
  assert.deepEqual(plugins.mail, { limit: 2 })
  services.set('old', offer('new', '2.1.0'))
  assert.equal(plugins.old, 'new')
  assert.throws(() => plugins.billing, {
    message: 'Plugin "invoices" asked for the plugin "billing" but its manifest does not list it. Add "billing" to "requires" or "optional" in /plugins/invoices/package.json.'
  })
})

test('a service is held by its handle, whichever generation serves', () => {
  const services = new Map([['mail', offer({ send: () => 'first' })]])
  const { scope } = make({ requires: { mail: '^1.0.0' } }, services)
  const { mail } = scope.plugins as unknown as { mail: { send: () => string } }
  assert.equal(mail.send(), 'first')
  services.set('mail', offer({ send: () => 'second' }, '1.5.0'))
  assert.equal(mail.send(), 'second')
  assert.equal((scope.plugins as Readonly<Record<string, unknown>>).mail, mail)
  services.set('mail', offer({ send: () => 'third' }, '2.0.0'))
  assert.throws(() => mail.send(), { code: 'BULKHEAD_SERVICE_UNAVAILABLE' })
})

test('two plugins have handles of their own', () => {
  const { resources, calls } = createFakes()
  const container = createContainer(resources)
  const [one, two] = ['one', 'two'].map(id => createScope({
    container, candidate: inMemory(id, { start () { /* nothing */ } }, { resources: ['postgres'] }).candidate, config: {}, log: silent, clock,
    owner: createOwner(id), signal: new AbortController().signal, services: new Map(),
    work: noWork, mayPublish: () => undefined, fetch: refuse,
    undo: () => undefined, onFault: () => undefined
  }).scope)
  assert.notEqual(one?.postgres, two?.postgres)
  assert.deepEqual(calls, ['postgres for one', 'postgres for two'])
})

test('once a plugin has ended its handles reject, and nothing can be registered', async () => {
  const { scope, end, calls } = make({ resources: ['postgres', 'kubernetes', 'valkey'] })
  const { postgres, kubernetes, valkey } = scope
  assert.equal(kubernetes.detail, 'there is no cluster')
  await end(new Error('it stopped'))
  await assert.rejects(asAny(postgres).any('SELECT late'), ended)
  await assert.rejects(asAny(scope.postgres).any('SELECT late'), ended)
  await assert.rejects(postgres.transaction(async () => undefined), ended)
  await assert.rejects(kubernetes.call(async () => undefined), ended)
  await assert.rejects(valkey.subscribe('news', z.string(), () => undefined), ended)
  assert.throws(() => scope.routes.get('/late', { public: 'x' }, () => 1), ended)
  assert.throws(() => scope.tasks.every('late', '1s', () => undefined), ended)
  assert.deepEqual(calls, ['postgres for invoices'])
})

test('methods under a name of their own are behind the fence, too', async () => {
  const asked: unknown[] = []
  const access = { can: async () => true, audit: { find: async (...args: unknown[]) => { asked.push(args); return [] } } } as unknown as Access
  const { scope, end } = createScope({
    container: createContainer({ access: () => access }), candidate: inMemory('invoices', { start () { /* nothing */ } }, { resources: ['access'] }).candidate,
    config: {}, log: silent, clock, owner: createOwner('invoices'), signal: new AbortController().signal, services: new Map(),
    work: noWork, mayPublish: () => undefined, fetch: refuse,
    undo: () => undefined, onFault: () => undefined
  })
  const { audit } = scope.access
  const find = audit.find as unknown as (...args: unknown[]) => Promise<unknown>
  assert.deepEqual(await find('a', 1), [])
  await end(new Error('it stopped'))
  await assert.rejects(find('b'), ended)
  assert.deepEqual(asked, [['a', 1]])
})

test('what a plugin keeps sealed is asked for as its own code, and no more once it has ended', async () => {
  const room = createEncryption({ key: Buffer.alloc(32, 7), previous: undefined })
  const owner = createOwner('invoices')
  const { scope: { encryption }, end } = createScope({
    container: createContainer({ encryption: id => room.scoped(id) }),
    candidate: inMemory('invoices', { start () { /* nothing */ } }, { resources: ['encryption'] }).candidate, config: {}, log: silent, clock, owner, signal: new AbortController().signal, services: new Map(),
    work: noWork, mayPublish: () => undefined, fetch: refuse, undo: () => undefined, onFault: () => undefined
  })
  const owners: unknown[] = []
  const sealed = { pending: async () => { owners.push(currentOwner()); return 3 }, rewrap: async () => 0 }
  const forget = encryption.keeps('cards', sealed)
  encryption.keeps('names', sealed)
  assert.equal(await room.kept()[0]?.sealed.pending(room.keyId), 3)
  assert.deepEqual([owners, currentOwner()], [[owner], undefined])
  forget()
  assert.deepEqual(room.kept().map(({ name }) => name), ['names'])
  const envelope = encryption.seal('1234', ['card', '1'])
  assert.deepEqual([encryption.keyId, encryption.open(envelope, ['card', '1']).toString()], [room.keyId, '1234'])

  await end(new Error('it stopped'))
  assert.deepEqual(room.kept(), [])
  for (const late of [() => encryption.seal('x', ['y']), () => encryption.open(envelope, ['card', '1']), () => encryption.keeps('late', sealed)]) assert.throws(late, ended)
})

test('a transaction open at its plugin\'s end takes no further statement and is rolled back', async () => {
  const { scope, end, calls } = make({ resources: ['postgres'] })
  const gone = end.bind(undefined, new Error('it stopped'))
  await assert.rejects(asAny(scope.postgres).transaction(async (tx) => {
    await tx.any('INSERT early')
    await gone()
    await tx.any('INSERT late')
  }), ended)
  assert.deepEqual(calls.slice(1), ['BEGIN', 'tx INSERT early', 'ROLLBACK'])

  const other = make({ resources: ['postgres'] })
  await assert.rejects(asAny(other.scope.postgres).transaction(() => other.end(new Error('it stopped'))), ended)
  assert.deepEqual(other.calls.slice(1), ['BEGIN', 'ROLLBACK'])
})

test('a step that is handed over too late is still taken, and its owner told', async () => {
  const { scope, end, undone } = make()
  await end(new Error('it stopped'))
  let taken = 0
  assert.throws(() => scope.undo('close socket', () => { taken += 1 }), ended)
  for (const step of undone) await step()
  assert.equal(taken, 1)
})

test('subscriptions end with the plugin, those it left already excepted', async () => {
  const { scope, end, calls } = make({ resources: ['valkey'] })
  const leave = await scope.valkey.subscribe('one', z.string(), () => undefined)
  await scope.valkey.subscribe('two', z.string(), () => undefined)
  await leave()
  await end(new Error('it stopped'))
  assert.deepEqual(calls, ['subscribe one', 'subscribe two', 'leave one', 'leave two'])
})

test('a subscription that comes about too late is left at once', async () => {
  const { scope, end, calls } = make({ resources: ['valkey'] })
  const late = scope.valkey.subscribe('one', z.string(), () => undefined)
  await end(new Error('it stopped'))
  await assert.rejects(late, ended)
  assert.deepEqual(calls, ['subscribe one', 'leave one'])
})

test('routes are declared under the plugin\'s mounts, and under no other', () => {
  const { scope: { routes }, registration } = make({ mounts: ['invoices', 'bills'] })
  routes.get('/', { public: 'x' }, () => 1)
  routes.at('bills').post('/:id', { signedIn: 'y' }, () => 1)
  routes.at('bills').at('invoices').delete('/:id', { permission: 'invoice:write' }, () => 1)
  assert.deepEqual(registration.routes.map(({ plugin, mount, method, path }) => `${plugin} ${mount} ${method} ${path}`), [
    'invoices invoices get /', 'invoices bills post /:id', 'invoices invoices delete /:id'
  ])
  assert.throws(() => routes.at('users'), { message: 'Plugin "invoices" declared routes at "users", but its mounts are "invoices", "bills". Add "users" to "mounts" in /plugins/invoices/package.json.' })
  assert.throws(() => make({ mounts: [] }).scope.routes.get('/', { public: 'x' }, () => 1), { code: 'BULKHEAD_UNKNOWN_MOUNT' })
})

test('tasks are kept as they were declared', () => {
  const { scope: { tasks }, registration } = make()
  let runs = 0
  const run = (): void => { runs += 1 }
  tasks.every('a', '5s', run)
  tasks.every('b', 500, { once: 'replica' }, run)
  tasks.cron('c', '0 3 * * *', { timezone: 'Europe/Paris' }, run)
  assert.deepEqual(registration.tasks.map(task => ({ ...task, handler: undefined })), [
    { kind: 'every', name: 'a', interval: '5s', options: {}, handler: undefined },
    { kind: 'every', name: 'b', interval: 500, options: { once: 'replica' }, handler: undefined },
    { kind: 'cron', name: 'c', expression: '0 3 * * *', options: { timezone: 'Europe/Paris' }, handler: undefined }
  ])
  for (const { handler } of registration.tasks) void handler({ signal: new AbortController().signal } as QueueRun)
  assert.equal(runs, 3)
})

test('what a plugin fetches is counted while it is under way, and aborted when it has ended', async () => {
  const asked: (AbortSignal | null | undefined)[] = []
  const owner = createOwner('invoices')
  const { scope, end } = createScope({
    container: createContainer({}), candidate: inMemory('invoices', { start () { /* nothing */ } }).candidate, config: {}, log: silent, clock, owner,
    signal: new AbortController().signal, services: new Map(), work: noWork, mayPublish: () => undefined,
    undo: () => undefined, onFault: () => undefined,
    fetch: (_url, { signal } = {}) => new Promise((_resolve, reject) => {
      asked.push(signal)
      signal?.addEventListener('abort', () => reject(signal.reason as Error))
    })
  })
  const stop = new AbortController()
  const [first, second] = [scope.fetch('https://user.example/a?token=1', { signal: stop.signal }), scope.fetch('https://other.example/')]
  assert.deepEqual(owner.account.names(), ['connection (fetch https://user.example)', 'connection (fetch https://other.example)'])
  stop.abort(new Error('enough'))
  await assert.rejects(first, { message: 'enough' })
  assert.deepEqual(owner.account.names(), ['connection (fetch https://other.example)'])
  const late = assert.rejects(second, ended)
  await end(new Error('it stopped'))
  await late
  await assert.rejects(scope.fetch('https://other.example/'), ended)
  assert.deepEqual([owner.account.names(), asked.length], [[], 2])
})
