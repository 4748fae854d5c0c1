// What PostgreSQL does not store, in jobs, events and keys: refused with its place when it is sent, repaired in what is kept of an error.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ValidationFailed } from '../../core/contract/index.ts'
import { createDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { openHouse, queue, send } from './fixture.ts'

const hostile = ['\0', 'a\0b', '\ud800', 'a\udc00', '\ude00\ud83d']

test('a job or event with text that cannot be stored is refused, naming the queue and the place', async (t) => {
  const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
  const deliver = queue('deliver', () => undefined)
  await house.register('notes', deliver)
  const refuses = async (sent: Promise<unknown>, path: string, name: string): Promise<void> => assert.rejects(sent, (error: unknown) =>
    error instanceof ValidationFailed && error.errors[0]?.path === path && error.message.includes(name) && error.message.includes(`"${path}"`), path)
  for (const text of hostile) {
    await refuses(send(house, deliver, { to: [{ name: text }] }), 'input.to.0.name', 'A job of "notes/deliver"')
    await refuses(send(house, deliver, text), 'input', 'A job of "notes/deliver"')
    await refuses(send(house, deliver, { a: { [text]: 1 } }), 'input.a', 'A job of "notes/deliver"')
    await refuses(send(house, deliver, {}, { key: text }), 'key', 'A job of "notes/deliver"')
    await refuses(house.tasks.publish('notes', 'note.changed', { note: { title: text } }), 'input.note.title', 'The event "note.changed"')
    await refuses(house.tasks.publish('notes', 'note.changed', {}, { key: text }), 'key', 'The event "note.changed"')
    await refuses(house.postgres.transaction(tx => send(house, deliver, { text }, { in: tx })), 'input.text', 'A job of "notes/deliver"')
  }
  for (const text of ['\\u0000', '\\ud800', '😀', '\u202e']) await send(house, deliver, { [text]: text }, { key: text })
})

test('what an error says is kept without what cannot be stored, and without half of what was cut', async (t) => {
  const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
  const messages = ['a\0b', 'a\ud800b', `${'x'.repeat(1_992)}${'😀'.repeat(10)}`]
  const deliver = queue('deliver', ({ input }) => { throw new Error(messages[Number(input)]) }, { retry: { limit: 0 } })
  await house.register('notes', deliver)
  for (const at of messages.keys()) await send(house, deliver, at)
  await until(async () => (await house.tasks.jobs({ state: 'dead' })).length === messages.length)
  const errors = (await house.tasks.jobs({ state: 'dead' })).map(({ error }) => error ?? '').toSorted()
  assert.deepEqual(errors, ['Error: a\ufffdb', 'Error: a\ufffdb', `Error: ${'x'.repeat(1_992)}…`].toSorted())
})

test('a plugin or a task that cannot have such a name has no jobs', async (t) => {
  const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
  await house.register('notes', queue('deliver', () => undefined))
  for (const text of hostile) {
    assert.deepEqual(await house.tasks.jobs({ plugin: text }), [])
    assert.deepEqual(await house.tasks.jobs({ task: text }), [])
    assert.deepEqual(await house.tasks.forgetPlugin(text), [])
  }
})
