// A flood of events of one plugin takes that plugin's turns in the queue's pool, and nobody else's.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDatabase } from '../support/database.ts'
import { event, openHouse, queue } from './fixture.ts'

const flooding = 400

for (const subscribers of [[], ['mail']]) {
  test(`a flood of events with ${subscribers.length} subscribers keeps no other plugin waiting`, async t => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const deliver = queue('deliver', () => undefined)
    for (const plugin of subscribers) await house.register(plugin, event('flood.rose', () => undefined), deliver)
    const plugin = subscribers[0] ?? 'notes'
    await house.tasks.send(plugin, deliver, 1)
    let published = 0
    const flood = Array.from({ length: flooding }, async () => {
      await house.tasks.publish('flood', 'flood.rose', 1)
      published++
    })
    await Promise.race(flood)
    await house.tasks.send(plugin, deliver, 2)
    assert.ok(published < flooding / 2, `${published} of ${flooding} events came before the job of "${plugin}"`)
    await Promise.all(flood)
  })
}
