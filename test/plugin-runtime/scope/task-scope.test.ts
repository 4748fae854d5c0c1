// What a scope's `tasks` and `events` do with what a plugin hands over, before any room hears of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z, type QueueRun, type SendOptions } from '../../../core/contract/index.ts'
import { createContainer } from '../../../core/plugin-runtime/index.ts'
import { createScope, type OwnedScope } from '../../../core/plugin-runtime/scope/scope.ts'
import type { TaskScope } from '../../../core/plugin-runtime/scope/task-scope.ts'
import { clock } from '../plugin-folder.ts'
import { createOwner, inMemory, noWork, refuse, silent } from '../fixture.ts'

function make (work: Partial<TaskScope> = {}, mayPublish: (event: string) => void = () => undefined): OwnedScope {
  return createScope({
    container: createContainer({}), candidate: inMemory('invoices', { start () { /* nothing */ } }).candidate,
    owner: createOwner('invoices'), config: {}, log: silent, clock, services: new Map(), signal: new AbortController().signal, undo: () => undefined, onFault: () => undefined, work: { ...noWork, ...work }, mayPublish, fetch: refuse
  })
}
const Delivery = z.object({ to: z.string(), at: z.coerce.date().optional() })
const run = (input: unknown): QueueRun => ({ attemptId: 'a', signal: new AbortController().signal, input } as QueueRun)

test('what is sent is checked as the JSON it becomes, and handed on as it was given', async () => {
  const sent: unknown[] = []
  const { scope: { tasks } } = make({ send: async (plugin, { name }, input, options) => { sent.push([plugin, name, input, options]); return 'id' } })
  tasks.queue('deliver', { input: Delivery }, () => undefined)
  const options: SendOptions = { key: 'a' }
  assert.equal(await tasks.send('deliver', { to: 'ada' }, options), 'id')
  assert.deepEqual(sent, [['invoices', 'deliver', { to: 'ada' }, options]])
  await assert.rejects(tasks.send('deliver', { to: 1 }), { code: 'BULKHEAD_VALIDATION_FAILED', message: /sent to "deliver" does not fit: input\.to:/ })
  await assert.rejects(tasks.send('deliver', undefined), { code: 'BULKHEAD_VALIDATION_FAILED' })

  tasks.queue('strict', { input: z.object({ at: z.date() }) }, () => undefined)
  await assert.rejects(tasks.send('strict', { at: new Date() }), { code: 'BULKHEAD_VALIDATION_FAILED' }, 'a date does not survive JSON')
  assert.equal(sent.length, 1)
})

test('a broadcast holds no NUL and no half of a surrogate pair, as an event does', async () => {
  const heard: unknown[] = []
  const { scope: { events } } = make({ broadcast: async (name, payload) => { heard.push([name, payload]) } })
  for (const text of ['\0', '\ud800']) {
    await assert.rejects(events.broadcast('price.changed', { item: { name: text } }), { code: 'BULKHEAD_VALIDATION_FAILED', message: /"price\.changed".*"payload\.item\.name" holds/ })
  }
  await events.broadcast('price.changed', { item: { name: '\\u0000' } })
  await events.broadcast('price.changed', undefined)
  assert.equal(heard.length, 2)
})

test('a queue that the plugin does not declare is refused with the one that was meant', async () => {
  const { scope: { tasks } } = make()
  await assert.rejects(tasks.send('deliver', 1), { code: 'BULKHEAD_UNKNOWN_QUEUE', message: /declares no queue.*tasks\.queue/ })
  tasks.queue('deliver', { input: z.unknown() }, () => undefined)
  await assert.rejects(tasks.send('delivery', 1), { code: 'BULKHEAD_UNKNOWN_QUEUE', message: /Did you mean "deliver"/ })
})

test('handlers get what their schema makes of what was kept, or are not called', async () => {
  const { scope: { tasks, events }, registration } = make()
  const got: unknown[] = []
  tasks.queue('deliver', { input: Delivery }, ({ input, attemptId }) => { got.push([input, attemptId]) })
  events.on('order.paid', z.object({ sum: z.number() }), ({ payload, attemptId }) => { got.push([payload, attemptId]) })
  const [queue, event] = registration.tasks
  await queue?.handler(run({ to: 'ada', at: '2026-01-01T00:00:00Z' }))
  await event?.handler(run({ sum: 3 }))
  assert.deepEqual(got, [[{ to: 'ada', at: new Date('2026-01-01T00:00:00Z') }, 'a'], [{ sum: 3 }, 'a']])
  for (const { handler } of [queue, event].filter(task => task !== undefined)) {
    await assert.rejects(async () => handler(run({ to: 1, sum: 'x' })), { message: /does not fit its schema: (to|sum):/ })
  }
  assert.equal(got.length, 2)
})

test('an ended plugin sends, publishes and broadcasts nothing; a started one declares nothing', async () => {
  const { scope: { tasks, events }, registration, end } = make({ publish: async () => undefined, broadcast: async () => undefined })
  tasks.queue('deliver', { input: z.unknown() }, () => undefined)
  await events.publish('order.paid', 1)
  await events.broadcast('order.paid', 1)
  registration.close()
  const closed = { code: 'BULKHEAD_REGISTRATION_CLOSED' }
  assert.throws(() => tasks.queue('late', { input: z.unknown() }, () => undefined), closed)
  assert.throws(() => events.on('late', z.unknown(), () => undefined), closed)
  assert.throws(() => events.onBroadcast('late', z.unknown(), () => undefined), closed)
  await end(new Error('it stopped'))
  const ended = { code: 'BULKHEAD_SCOPE_ENDED' }
  await assert.rejects(tasks.send('deliver', 1), ended)
  await assert.rejects(events.publish('order.paid', 1), ended)
  await assert.rejects(events.broadcast('order.paid', 1), ended)
})
