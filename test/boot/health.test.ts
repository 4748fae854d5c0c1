// Whether what is open is well, as the readiness probe and the kernel hear of it.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { watchHealth } from '../../core/boot/health.ts'
import type { Check, Opened, UnitParts } from '../../core/boot/unit-context.ts'
import { clock, createLog } from '../support/part.ts'
import { until } from '../support/until.ts'

interface Watched {
  checks: Map<string, Check>
  readiness: string[]
  failed: string[]
  suspended: Map<string, string | undefined>
}

function watch (t: TestContext): Watched {
  const made: Watched = { checks: new Map(), readiness: ['?'], failed: [], suspended: new Map() }
  const members = [{ id: 'notes', candidate: { manifest: { resources: ['storage'], tolerates: [] } } }, { id: 'mail', candidate: { manifest: { resources: ['storage'], tolerates: ['storage'] } } }]
  const opened = {
    checks: made.checks,
    roster: { members: () => members },
    http: { suspend: (id: string, reason: string | undefined) => { made.suspended.set(id, reason) } },
    probes: { ready: () => { made.readiness.push('ready') }, notReady: (why: () => string) => { made.readiness.push(why()) } }
  } as unknown as Opened
  const kernel = { units: () => [], fail: (id: string, error: Error) => { made.failed.push(`${id}: ${error.message}`) } }
  const stop = watchHealth({ opened, kernel, log: createLog(), clock } as unknown as UnitParts)
  t.after(stop)
  return made
}

test('a check that hangs once is not held against the next generation', async (t) => {
  const { checks, failed } = watch(t)
  checks.set('notes', { kind: 'plugin', isRequired: false, ask: () => new Promise(() => undefined) })
  await until(() => failed.length > 0)
  let asked = 0
  checks.set('notes', { kind: 'plugin', isRequired: false, ask: () => { asked += 1 } })
  await until(() => asked >= 3)
  assert.deepEqual(failed, ['notes: its check failed 3 times in a row, the last time: the last question is not answered yet'])
})

test('a silent check delays no other, and a plugin is suspended while a resource it needs is out', async (t) => {
  const { checks, readiness, suspended } = watch(t)
  let isAway = true
  checks.set('tasks', { kind: 'resource', isRequired: true, ask: () => new Promise(() => undefined) })
  checks.set('storage', {
    kind: 'resource', isRequired: false,
    ask: () => { if (isAway) throw Object.create(null) }
  })
  await until(() => suspended.get('notes') !== undefined)
  assert.equal(suspended.get('notes'), 'Something the plugin "notes" needs (storage) does not answer.')
  assert.equal(suspended.has('mail'), false)
  assert.ok(readiness.every(word => !word.includes('storage')), 'it is not required')
  await until(() => readiness.at(-1)?.startsWith('tasks: ') === true)
  isAway = false
  await until(() => suspended.has('notes') && suspended.get('notes') === undefined)
  checks.delete('tasks')
  await until(() => readiness.at(-1) === 'ready')
})
