// An event belongs to the plugin whose manifest declares it, whether that plugin runs or not.

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { z, type Events, type Log, type Scope } from '../../../core/contract/index.ts'
import type { TaskScope } from '../../../core/plugin-runtime/index.ts'
import { discover, folderWith, load, plugin, problemsOf } from '../plugin-folder.ts'
import { createRun, inMemory, noWork, silent, type Run } from '../fixture.ts'

const merged = { 'merge-request.merged': { description: 'A merge request was merged' } }
const notOwned = { code: 'BULKHEAD_EVENT_NOT_OWNED' }

interface Published extends Run { events (id: string): Events, readonly told: string[], readonly warnings: string[] }

/** A host with these plugins, by id with the events that each declares. */
async function runWith (
  t: TestContext, declared: Record<string, object>, options: { disabled?: ReadonlyMap<string, string>, leftOut?: readonly string[] } = {}
): Promise<Published> {
  const scopes = new Map<string, Scope>()
  const told: string[] = []
  const warnings: string[] = []
  const log: Log = { ...silent, warn: (_facts: unknown, message?: string) => { warnings.push(message ?? '') } }
  const work: TaskScope = { ...noWork, publish: async (_plugin, event) => { told.push(event) }, broadcast: async event => { told.push(`broadcast ${event}`) } }
  const all = Object.entries(declared).map(([id, events]) =>
    inMemory(id, { start: scope => { scopes.set(id, scope) } }, { events: events as typeof merged }))
  const { leftOut = [], ...rest } = options
  const made = createRun({
    plugins: all.filter(({ candidate }) => !leftOut.includes(candidate.id)),
    leftOut: all.flatMap(({ candidate }) => leftOut.includes(candidate.id) ? [candidate] : []),
    rooms: { work }, parts: { logOf: () => log }, ...rest
  })
  t.after(() => made.kernel.stop('the test is over', { budgetMs: 1_000 }))
  await made.start()
  return {
    ...made, told, warnings,
    events: id => scopes.get(id)?.events ?? assert.fail(`${id} has not started`)
  }
}

test('an event that another plugin declares is neither published nor broadcast; its owner may', async t => {
  const host = await runWith(t, { projects: merged, faker: { 'faker.done': { description: 'Done' } } })
  await assert.rejects(host.events('faker').publish('merge-request.merged', {}), {
    ...notOwned,
    message: /^Plugin "faker" published the event "merge-request\.merged", which belongs to the plugin "projects": .* in .*faker\/package\.json\.$/
  })
  await assert.rejects(host.events('faker').broadcast('merge-request.merged', {}), notOwned)
  assert.deepEqual(host.told, [])
  await host.events('projects').publish('merge-request.merged', {})
  await host.events('projects').broadcast('merge-request.merged', {})
  await host.events('faker').publish('faker.done', {})
  assert.deepEqual(host.told, ['merge-request.merged', 'broadcast merge-request.merged', 'faker.done'])
  assert.deepEqual(host.warnings, [])
})

test('an owner keeps its events while it is disabled, fails to start, or is left out by settings', async t => {
  const publish = (host: Published): Promise<void> => host.events('faker').publish('merge-request.merged', {})
  await assert.rejects(publish(await runWith(t, { projects: merged, faker: {} }, { disabled: new Map([['projects', 'an operator said so']]) })), notOwned)
  await assert.rejects(publish(await runWith(t, { projects: merged, faker: {} }, { leftOut: ['projects'] })), notOwned)
  const host = await runWith(t, { projects: merged, faker: {} })
  await host.kernel.disable('projects', 'a test')
  await assert.rejects(publish(host), notOwned)
})

test('a plugin that takes the place of one that is left out owns the events that it declares', async t => {
  const host = await runWith(t, { projects: merged, forge: merged }, { leftOut: ['projects'] })
  await host.events('forge').publish('merge-request.merged', {})
  assert.deepEqual(host.told, ['merge-request.merged'])
})

test('an event that no plugin declares is published with one warning for each name', async t => {
  const host = await runWith(t, { old: {}, other: {} })
  for (const name of ['old.done', 'old.done', 'old.begun']) await host.events('old').publish(name, {})
  await host.events('old').broadcast('old.done', {})
  await host.events('other').publish('old.done', {})
  assert.equal(host.told.length, 5)
  assert.deepEqual(host.warnings.map(text => /plugin "\w+" publishes the event "[\w.]+"/.exec(text)?.[0]), [
    'plugin "old" publishes the event "old.done"', 'plugin "old" publishes the event "old.begun"', 'plugin "other" publishes the event "old.done"'
  ])
  for (let n = 0; n < 200; n++) await host.events('old').publish(`old.${n}`, {})
  assert.ok(host.warnings.length <= 51, 'names made at run time do not fill the log')
})

test('two plugins that declare the same event are a problem that names both', async t => {
  const folder = await folderWith(t, { ...plugin('one', { events: merged }), ...plugin('two', { events: merged }) })
  assert.deepEqual(await problemsOf(folder), [
    'two/package.json: The event "merge-request.merged" is also declared by "one" (one/package.json). An event belongs to one plugin: take it out of "events" of the other.'
  ])
  assert.equal((await load(folder, { disabled: ['one'] })).plugins.length, 1, 'one that is left out stands in nobody\'s way')
})

test('events of the manifest have names that can be published, and a description each', async t => {
  const problem = async (events: unknown): Promise<string> => (await problemsOf(await folderWith(t, plugin('one', { events })))).join('\n')
  assert.match(await problem({ 'Invoice.Paid': { description: 'x' } }), /The event "Invoice\.Paid" is not 1 to 100 lower-case letters.* Write for example "invoice\.paid"\./)
  assert.match(await problem({ 'a b': { description: 'x' } }), /The event "a b" is not/)
  assert.match(await problem({ a: {} }), /"events\.a\.description" is not a string/)
  assert.match(await problem({ a: { description: ' ' } }), /"events\.a\.description"/)
  assert.match(await problem({ a: { description: 'x', schema: {} } }), /"schema" is not a key of "events\.a"/)
  assert.match(await problem({ a: 'when it is paid' }), /"events\.a" is not a/)
  assert.match(await problem(['a']), /"events" is not an object/)
})

test('the plugins of this repository declare every event that their code names', async () => {
  const folder = join(import.meta.dirname, '../../../plugins')
  const { candidates } = await discover(folder)
  for (const { id, manifest, folder } of candidates) {
    const code = globSync('**/*.ts', { cwd: folder }).map(file => readFileSync(join(folder, file), 'utf8')).join('\n')
    // The table of projects, what is published or broadcast by a literal, and the name that notify keeps in a constant.
    const named = [...code.matchAll(
      /\bevent: '([a-z-]+\.[a-z-]+)'|(?:publish|broadcast)\((?:[^,]*\? )?'([a-z.-]+)'(?: : '([a-z.-]+)')?|changed = '([a-z.-]+)'/g
    )]
      .flatMap(([, ...names]) => z.array(z.string().optional()).parse(names).filter(name => name !== undefined))
    assert.deepEqual([...new Set(named)].sort(), Object.keys(manifest.events).sort(), id)
  }
})
