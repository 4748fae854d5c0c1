// Plugins replaced, failing and coming back, on a real kernel, from memory and from folders.

import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Scope } from '../../../core/contract/index.ts'
import { trackLeaks, currentOwner, loadDefinitions, runAs, type LoadedPlugin, type Owner } from '../../../core/plugin-runtime/index.ts'
import { until } from '../../support/until.ts'
import { clock, discover, folderWith, manifest, plugin, writeFiles } from '../plugin-folder.ts'
import { asAny, createOwner, createRun, inMemory, type Run } from '../fixture.ts'

interface FromFolder extends Run { folder: string }

/** A roster on the plugins of a folder, which may change. */
async function run (t: TestContext, files: Parameters<typeof folderWith>[1], parts: Parameters<typeof createRun>[0]['parts'] = {}): Promise<FromFolder> {
  const folder = await folderWith(t, files)
  const { candidates } = await discover(folder)
  const { plugins, failures } = await loadDefinitions(candidates, { clock, budgetMs: 5_000, corePermissions: [] })
  const recover = { firstMs: 20, maxMs: 20, resetAfterMs: 100_000 }
  const made = createRun({ plugins, failures, parts: { discover: () => discover(folder), recover, ...parts } })
  t.after(() => made.kernel.stop('the test is over', { budgetMs: 1_000 }))
  await made.start()
  return { ...made, folder }
}
const stateOf = ({ kernel }: Run, id: string): string | undefined => kernel.unit(id)?.state

test('a replacement is checked against all the others, migrated and declared before it starts', async (t) => {
  const declared: string[][] = []
  const host = await run(t, { ...plugin('notes'), ...plugin('mail') }, {
    declare: async plugins => { declared.push(plugins.map(({ candidate: { id }, owner: { generation } }) => `${id} ${generation}`)) }
  })
  await writeFiles(host.folder, { ...plugin('notes', { resources: ['postgres'] }), 'notes/migrations/0001_note.sql': 'select 1;' })
  await host.roster.reload('notes')
  assert.deepEqual(declared, [['mail 1', 'notes 2']])
  assert.ok(host.calls.indexOf('migrate notes') < host.calls.lastIndexOf('mount notes'))
  assert.equal(host.roster.find('notes').generation, 2)

  await writeFiles(host.folder, {
    'notes/index.js': "export default { permissions: { 'note:read': { description: 'x' } }, start () {} }",
    'mail/index.js': "export default { permissions: { 'note:read': { description: 'x' } }, start () {} }"
  })
  await host.roster.reload('notes')
  await assert.rejects(host.roster.reload('mail'), /The permission "note:read" is already declared by "notes"/)
  assert.equal(stateOf(host, 'mail'), 'running')

  await writeFiles(host.folder, {
    ...plugin('notes', { resources: ['postgres'], events: { 'note.shared': { description: 'x' } } }), ...plugin('mail', { events: { 'note.shared': { description: 'x' } } }),
    'notes/index.js': "export default { permissions: { 'note:read': { description: 'x' } }, start () {} }",
    'mail/index.js': "export default { permissions: { 'note:pay': { description: 'x' } }, start () {} }"
  })
  await host.roster.reload('notes')
  await assert.rejects(host.roster.reload('mail'), /The event "note\.shared" is also declared by "notes"/)
  await writeFiles(host.folder, { 'mail/package.json': manifest({ id: 'mail' }) })
  await assert.rejects(host.roster.reload('mail'), /The permission "note:pay" begins with "note", and those belong to "notes"/)
})

test('the old generation finishes what it has under way, and is fenced after that', async () => {
  const scopes: Scope[] = []
  const under = Promise.withResolvers<undefined>()
  const generations: LoadedPlugin[] = [1, 2].map(number => ({
    ...inMemory('notes', { start: scope => { scopes.push(scope) } }, { resources: ['postgres'] }), owner: createOwner('notes', number)
  }))
  const made = createRun({ plugins: generations.slice(0, 1), rooms: { mount: () => async () => { await under.promise } } })
  await made.start()
  const [old] = scopes
  assert.ok(old)
  const unit = { ...made.roster.units({ plugins: generations.slice(1), failures: [], unmigrated: new Set(), leftOut: [] }, new Map())[0] }
  let isReplaced = false
  const replaced = made.kernel.replace(unit as never).then(() => { isReplaced = true })
  await until(() => scopes.length === 2 && old.signal.aborted)
  assert.deepEqual(await asAny(old.postgres).any('SELECT under way'), ['SELECT under way'])
  assert.equal(isReplaced, false)
  under.resolve(undefined)
  await replaced
  await assert.rejects(asAny(old.postgres).any('SELECT late'), { code: 'BULKHEAD_SCOPE_ENDED' })
  await made.kernel.stop('the test is over', { budgetMs: 1_000 })
})

test('code that cannot be imported is retried until it can, as a new generation each time', async (t) => {
  const host = await run(t, { ...plugin('notes'), 'notes/index.js': 'throw new Error("no ink")', ...plugin('mail', { requires: { notes: '*' } }) })
  assert.deepEqual([stateOf(host, 'notes'), stateOf(host, 'mail')], ['quarantined', 'held'])
  await until(() => (host.kernel.unit('notes')?.restarts ?? 0) >= 2)
  await writeFiles(host.folder, { 'notes/index.js': 'export default { start () {} }' })
  await until(() => stateOf(host, 'notes') === 'running' && stateOf(host, 'mail') === 'running')
  assert.ok(host.roster.find('notes').generation > 2)
})

test('too many uncaught errors quarantine a plugin, but only those of the serving start count', async (t) => {
  const owners: Record<string, Owner> = {}
  const start = ({ id }: Scope): void => { owners[id] = currentOwner() ?? createOwner('nobody') }
  const made = createRun({ plugins: [inMemory('notes', { start }), inMemory('mail', { start })] })
  t.after(() => made.kernel.stop('the test is over', { budgetMs: 1_000 }))
  await made.start()
  const fault = (id: string, thrown: unknown): void => made.roster.noteFault(owners[id] ?? createOwner('nobody'), thrown)
  const ended = owners.notes ?? createOwner('nobody')
  await made.roster.disable('notes', 'a test')
  await made.roster.enable('notes')
  for (let count = 0; count < 10; count++) {
    made.roster.noteFault(createOwner('notes', 7), new Error('of an old generation'))
    made.roster.noteFault(ended, new Error('of a start before'))
  }
  fault('notes', new Error('one'))
  fault('mail', new Error('another\'s'))
  fault('notes', Object.create(null))
  assert.equal(stateOf(made, 'notes'), 'running')
  fault('notes', new Error('three'))
  await until(() => stateOf(made, 'notes') === 'quarantined')
  assert.match(made.kernel.unit('notes')?.reason ?? '', /^more than 2 of its errors were uncaught within 60 s, the last one: three$/)
  assert.equal(stateOf(made, 'mail'), 'running')
})

test('a transaction that never settles is rolled back and frees its place when its plugin ends', async () => {
  let scope: Scope | undefined
  const made = createRun({ plugins: [inMemory('notes', { start: given => { scope = given } }, { resources: ['postgres'] })] })
  await made.start()
  assert.ok(scope)
  const hung = asAny(scope.postgres).transaction(() => new Promise(() => undefined)).catch((error: unknown) => (error as { code: string }).code)
  await until(() => made.calls.includes('BEGIN'))
  assert.equal(made.roster.find('notes').owns().connections, 1)
  await made.roster.disable('notes', 'a test')
  assert.equal(await hung, 'BULKHEAD_SCOPE_ENDED')
  assert.ok(made.calls.includes('ROLLBACK'))
  assert.deepEqual(Object.values(made.roster.find('notes').owns()), [0, 0, 0, 0, 0, 0, 0])
  await made.kernel.stop('the test is over', { budgetMs: 1_000 })
})

test('what a generation left behind is told while it is there', async (t) => {
  let interval: NodeJS.Timeout | undefined
  const made = createRun({ plugins: [inMemory('notes', { start: () => { interval = setInterval(() => undefined, 60_000) } })] })
  t.after(trackLeaks())
  t.after(() => made.kernel.stop('the test is over', { budgetMs: 1_000 }))
  await made.start()
  const member = made.roster.find('notes')
  assert.deepEqual([member.owns().timers, member.leftBehind()], [1, []])
  await made.roster.disable('notes', 'a test')
  assert.match(member.leftBehind().join(), /^generation 1: timer \(a setInterval at test\/plugin-runtime\/lifecycle\/roster\.test\.ts:\d+\)$/)
  runAs(undefined, () => { clearInterval(interval) })
  await until(() => member.leftBehind().length === 0)
})

test('a plugin whose folder has gone is removed; one with an unreadable manifest is not', async (t) => {
  const host = await run(t, plugin('notes'))
  await writeFiles(host.folder, { 'notes/package.json': '{' })
  await assert.rejects(host.roster.reload('notes'), /It is not JSON/)
  await rm(join(host.folder, 'notes/package.json'))
  await assert.rejects(host.roster.reload('notes'), /cannot be read \(ENOENT\)/)
  assert.equal(stateOf(host, 'notes'), 'running')
  await rm(join(host.folder, 'notes'), { recursive: true })
  await host.roster.reload('notes')
  assert.deepEqual([stateOf(host, 'notes'), host.roster.members(), host.calls.at(-1)], ['disabled', [], 'release notes'])
  await assert.rejects(host.roster.reload('notes'), { code: 'BULKHEAD_NOT_FOUND' })
  await writeFiles(host.folder, { 'notes/package.json': manifest({ id: 'notes' }), 'notes/index.js': 'export default { start () {} }' })
  await host.roster.reload('notes', 'an operator had switched it off')
  assert.equal(stateOf(host, 'notes'), 'disabled')
  await host.roster.enable('notes')
  assert.equal(stateOf(host, 'notes'), 'running')
})

test('a plugin goes on without what it tolerates', async (t) => {
  const started: string[] = []
  const unit = (id: string, tolerates: 'kubernetes'[]) => inMemory(id, { start: ({ kubernetes }) => { started.push(`${id} ${kubernetes.state}`) } }, { resources: ['kubernetes'], tolerates })
  const made = createRun({ plugins: [unit('needs', []), unit('tolerates', ['kubernetes'])], absent: ['kubernetes'] })
  t.after(() => made.kernel.stop('the test is over', { budgetMs: 1_000 }))
  await made.start()
  await sleep(5)
  assert.deepEqual([stateOf(made, 'needs'), stateOf(made, 'tolerates'), started], ['held', 'running', ['tolerates absent']])
})

test('disabling a plugin waits neither for a hanging import nor for a hanging start', async (t) => {
  const host = await run(t, { ...plugin('notes'), ...plugin('mail') }, { importBudgetMs: 8_000, startBudgetMs: 8_000 })
  await writeFiles(host.folder, { 'notes/index.js': 'await new Promise(() => {})', 'mail/index.js': 'export default { start: () => new Promise(() => {}) }' })
  const reloads = ['notes', 'mail'].map(id => host.roster.reload(id).then(() => 'reloaded', (error: unknown) => (error as Error).message))
  await until(() => host.kernel.unit('mail')?.state === 'running')
  await sleep(200)
  await Promise.all(['notes', 'mail'].map(id => host.roster.disable(id, 'a test')))
  assert.deepEqual(await Promise.all(reloads), ['The plugin "notes" was switched off meanwhile.', '"mail" was not replaced: it ended meanwhile'])
  assert.deepEqual(['notes', 'mail'].map(id => stateOf(host, id)), ['disabled', 'disabled'])
})

test('what a generation that does not start declares is not declared', async (t) => {
  const declared: string[] = []
  const host = await run(t, plugin('notes'), {
    declare: async plugins => { declared.push(...plugins.flatMap(({ definition }) => Object.keys(definition.permissions ?? {}))) }
  })
  const definition = (start: string): string => `export default { permissions: { 'note:read': { description: 'See notes' } }, start () { ${start} } }`
  await writeFiles(host.folder, { 'notes/index.js': definition('throw new Error("no")') })
  await assert.rejects(host.roster.reload('notes'))
  assert.deepEqual(declared, [])
  await writeFiles(host.folder, { 'notes/index.js': definition('') })
  await host.roster.reload('notes')
  assert.deepEqual(declared, ['note:read'])
})

test('a folder that has gone stands in nobody\'s way: another may need what needed it', async (t) => {
  const host = await run(t, { ...plugin('notes', { requires: { mail: '*' } }), ...plugin('mail') })
  await rm(join(host.folder, 'notes'), { recursive: true })
  await host.roster.reload('notes')
  await writeFiles(host.folder, plugin('mail', { optional: { notes: '*' } }))
  await host.roster.reload('mail')
  assert.equal(stateOf(host, 'mail'), 'running')
})
