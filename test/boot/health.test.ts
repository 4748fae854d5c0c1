// Whether what is open is well, as the readiness probe and the kernel hear of it.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { watchHealth } from '../../core/boot/health.ts'
import type { HealthCheck, Kernel } from '../../core/kernel/index.ts'
import type { PluginEntry } from '../../core/plugin-runtime/index.ts'
import { clock, createLog } from '../support/part.ts'
import { until } from '../support/until.ts'

interface Checked { kind: 'plugin' | 'resource', required: boolean, check: HealthCheck }

interface Watched {
  /** The units that run, by id. */
  units: Map<string, Checked>
  readiness: string[]
  failed: string[]
  suspended: Map<string, string | undefined>
}

function watch (t: TestContext): Watched {
  const made: Watched = { units: new Map(), readiness: ['?'], failed: [], suspended: new Map() }
  const members = [{ id: 'notes', candidate: { manifest: { resources: ['storage'], tolerates: [] } } }, { id: 'mail', candidate: { manifest: { resources: ['storage'], tolerates: ['storage'] } } }]
  const unit = (id: string) => ({ id, state: 'running', ...made.units.get(id) })
  const kernel = { unit, units: () => [...made.units.keys()].map(unit), fail: (id: string, error: Error) => { made.failed.push(`${id}: ${error.message}`) } }
  const stop = watchHealth({ kernel: kernel as unknown as Kernel, log: createLog(), clock }, {
    roster: { members: () => members as unknown as PluginEntry[] },
    http: { suspend: (id: string, reason: string | undefined) => { made.suspended.set(id, reason) } },
    probes: { ready: () => { made.readiness.push('ready') }, notReady: (why: () => string) => { made.readiness.push(why()) } }
  })
  t.after(stop)
  return made
}

test('a check that hangs once is not held against the next generation', async (t) => {
  const { units, failed } = watch(t)
  units.set('notes', { kind: 'plugin', required: false, check: () => new Promise(() => undefined) })
  await until(() => failed.length > 0)
  let asked = 0
  units.set('notes', { kind: 'plugin', required: false, check: () => { asked += 1 } })
  await until(() => asked >= 3)
  assert.deepEqual(failed, ['notes: its check failed 3 times in a row, the last time: the last check has not been answered yet'])
})

test('a silent check delays no other, and a plugin is suspended while a resource it needs is out', async (t) => {
  const { units, readiness, suspended } = watch(t)
  let isAway = true
  units.set('tasks', { kind: 'resource', required: true, check: () => new Promise(() => undefined) })
  units.set('storage', {
    kind: 'resource', required: false,
    check: () => { if (isAway) throw Object.create(null) }
  })
  await until(() => suspended.get('notes') !== undefined)
  assert.equal(suspended.get('notes'), 'Something the plugin "notes" needs (storage) does not answer.')
  assert.equal(suspended.has('mail'), false)
  assert.ok(readiness.every(word => !word.includes('storage')), 'it is not required')
  await until(() => readiness.at(-1)?.startsWith('tasks: ') === true)
  isAway = false
  await until(() => suspended.has('notes') && suspended.get('notes') === undefined)
  units.delete('tasks')
  await until(() => readiness.at(-1) === 'ready')
})
