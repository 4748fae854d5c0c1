// Two versions of a plugin at work at once: what each of them claims, and what is for the newer one.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { z, type Tasks } from '../../core/contract/index.ts'
import { createContainer, isNewer } from '../../core/plugin-runtime/index.ts'
import { createScope } from '../../core/plugin-runtime/scope/scope.ts'
import { clock } from '../plugin-runtime/plugin-folder.ts'
import { inMemory, noWork, refuse, silent } from '../plugin-runtime/fixture.ts'
import { createDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { openHouse, type House } from './fixture.ts'

interface Replica { readonly house: House, readonly tasks: Tasks, begin (): Promise<() => Promise<void>> }

/** A replica that has the plugin in this version, as the host declares it. */
async function open (t: TestContext, url: string, version: string, declare: (tasks: Tasks) => void): Promise<Replica> {
  const house = await openHouse(t, url, { isNewer })
  const { candidate, owner } = inMemory('shop', { start () { /* below */ } })
  const { scope, registration } = createScope({
    container: createContainer({}), candidate: { ...candidate, version }, owner, config: {}, log: silent, clock, services: new Map(),
    signal: new AbortController().signal, undo: () => undefined, onFault: () => undefined,
    work: { ...noWork, send: (...args) => house.tasks.send(...args) }, mayPublish: () => undefined, fetch: refuse
  })
  declare(scope.tasks)
  return { house, tasks: scope.tasks, begin: () => house.register('shop', ...registration.tasks) }
}

test('with two versions a tick is one run, and each replica works only the jobs it can take', async (t) => {
  const url = await createDatabase(t, { migrated: 'core' })
  const seen: string[] = []
  const ticks: string[] = []
  const declare = (version: string, Order: z.ZodType) => (tasks: Tasks): void => {
    tasks.every('count', '1s', ({ id, attempt }) => { ticks.push(`${id} ${attempt}`) })
    tasks.queue('pack', { input: Order, retry: { limit: 0 } }, ({ input }) => { seen.push(`${version} packs ${JSON.stringify(input)}`) })
  }
  const older = await open(t, url, '1.9.0', declare('older', z.object({ item: z.string() })))
  const newer = await open(t, url, '1.10.0', tasks => {
    declare('newer', z.object({ item: z.string().optional(), items: z.array(z.string()).default([]) }))(tasks)
    tasks.queue('wrap', { input: z.string() }, ({ input }) => { seen.push(`newer wraps ${input}`) })
  })
  const end = await older.begin()
  await newer.tasks.send('pack', { items: ['lamp', 'rug'] })
  await newer.tasks.send('wrap', 'lamp')
  await older.tasks.send('pack', { item: 'sofa' })
  await until(() => seen.length === 1)
  await until(() => older.house.entries.some(({ message }) => message?.includes('is for a newer version of the plugin') === true))
  await sleep(500)
  assert.deepEqual(seen, ['older packs {"item":"sofa"}'])
  assert.deepEqual((await older.house.tasks.jobs({ state: 'dead' })), [])

  await newer.begin()
  await until(() => seen.length === 3)
  assert.deepEqual(seen.toSorted(), ['newer packs {"items":["lamp","rug"]}', 'newer wraps lamp', 'older packs {"item":"sofa"}'])
  ticks.length = 0
  await until(() => ticks.length >= 3)
  assert.equal(new Set(ticks).size, ticks.length)
  assert.ok(ticks.every(tick => tick.endsWith(' 1')))

  // What the older one sent and nobody can take is a failure, whoever is newer.
  await newer.house.tasks.send('shop', { kind: 'queue', name: 'pack', version: '1.9.0', options: { input: z.unknown(), retry: { limit: 0 } }, handler: () => undefined }, { items: 'x' })
  await until(async () => (await newer.house.tasks.jobs({ state: 'dead' })).length === 1)
  await end()
})
