// The table of states, and the one place that holds every unit to it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moves, StartStopped, type State } from '../../core/kernel/index.ts'
import { Alarm } from '../../core/kernel/alarm.ts'
import { Undoing } from '../../core/kernel/undo.ts'
import { Unit } from '../../core/kernel/unit.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createHouse } from './fixture.ts'

test('from every state a unit can come to be stopped, and nothing leaves stopped', () => {
  const reachable = (from: State): Set<State> => {
    const found = new Set<State>(moves[from])
    for (const state of found) for (const next of moves[state]) found.add(next)
    return found
  }
  for (const state of Object.keys(moves) as State[]) assert.equal(reachable(state).has('stopped'), state !== 'stopped', state)
  assert.equal(reachable('stopped').size, 0)
})

test('whatever is down can come back', () => {
  const canStart = (Object.keys(moves) as State[]).filter(state => (moves[state] as readonly State[]).includes('starting'))
  assert.deepEqual(canStart, ['waiting', 'quarantined', 'held', 'failed', 'disabled'])
})

test('a move that is not in the table throws', async () => {
  const clock = createFakeClock()
  const { unit } = createHouse()
  const alarm = new Alarm(clock)
  const notes = new Unit(unit('notes'), { undoing: new Undoing(clock, alarm), budget: { clock, alarm }, onChange: () => undefined, onStep: () => undefined })
  await notes.stop(new StartStopped('SIGTERM'), { part: 1, isReserved: false })
  await assert.rejects(notes.stop(new StartStopped('SIGTERM'), { part: 1, isReserved: false }), /Unit "notes" cannot go from stopped to stopped/)
  assert.equal(notes.state, 'stopped')
})
