// Events on a real PostgreSQL: who is told, when, how often and in which order.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { event, openHouse, queue } from './fixture.ts'

const merged = 'merge-request.merged'

void suite('events', { concurrency: 6 }, () => {
  test('each subscribed plugin gets an event once, on one of its replicas, and no other gets it', async (t) => {
    const url = await createDatabase(t, { migrated: 'core' })
    const [first, second] = [await openHouse(t, url), await openHouse(t, url)]
    const heard: string[] = []
    const hears = (plugin: string) => event(merged, ({ input }: { input: { id: number } }) => { heard.push(`${plugin} ${input.id}`) })
    for (const house of [first, second]) for (const plugin of ['mail', 'audit']) await house.register(plugin, hears(plugin))
    await first.register('notes', event('other', () => { heard.push('other') }), queue('deliver', () => undefined))
    for (const id of [1, 2, 3]) await first.tasks.publish('notes', merged, { id })
    await until(() => heard.length === 6)
    await sleep(200)
    assert.deepEqual(heard.toSorted(), ['audit 1', 'audit 2', 'audit 3', 'mail 1', 'mail 2', 'mail 3'])
    assert.deepEqual((await second.tasks.jobs({ plugin: 'mail' })).map(({ task, state }) => `${task} ${state}`), Array(3).fill(`mail/on/${merged} done`))
  })

  test('it is told if and only if the transaction commits, and events of one key arrive in order', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const heard: number[] = []
    await house.register('mail', event(merged, async ({ input, attempt }: { input: number, attempt: number }) => {
      await sleep(input % 3)
      if (input === 2 && attempt === 1) throw new Error('not yet')
      heard.push(input)
    }))
    await assert.rejects(house.postgres.transaction(async tx => {
      await house.tasks.publish('notes', merged, 99, { in: tx })
      throw new Error('no')
    }), /no/)
    await house.postgres.transaction(async tx => { for (const at of [0, 1, 2, 3, 4]) await house.tasks.publish('notes', merged, at, { in: tx, key: 'mr-1' }) })
    for (const at of [5, 6]) await house.tasks.publish('notes', merged, at, { key: 'mr-1' })
    await until(() => heard.length === 7)
    assert.deepEqual(heard, [0, 1, 2, 3, 4, 5, 6])
  })

  test('an absent plugin gets its events on return, unless it returns without the subscription', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const heard: unknown[] = []
    const hears = event(merged, ({ input }) => { heard.push(input) })
    const end = await house.register('mail', hears)
    await end()
    await house.tasks.publish('notes', merged, 'while it was away')
    await house.register('mail', hears).then(async again => { await until(() => heard.length === 1); await again() })
    assert.deepEqual(heard, ['while it was away'])
    await (await house.register('mail', event('other', () => undefined)))()
    await house.tasks.publish('notes', merged, 'nobody')
    assert.deepEqual((await house.tasks.jobs({ state: 'waiting' })), [])
  })

  test('a name that is none is refused', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    await assert.rejects(house.tasks.publish('notes', 'Merged!', 1), { message: /"Merged!" cannot be published: the name must be/ })
  })
})
