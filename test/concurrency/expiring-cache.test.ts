// What is known for a moment.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExpiringCache } from '../../core/concurrency/expiring-cache.ts'

function createMemory (entriesMax: number): { memory: ExpiringCache<string>, time: { ms: number }, learn: (key: string) => void } {
  const time = { ms: 0 }
  const memory = new ExpiringCache<string>({ clock: { now: () => time.ms }, entriesMax })
  return { memory, time, learn: key => memory.set(key, `of ${key}`, { fromMs: time.ms, untilMs: time.ms + 1_000 }) }
}

test('an entry is there until its life ends', () => {
  const { memory, time, learn } = createMemory(10)
  learn('a')
  time.ms = 999
  assert.equal(memory.get('a'), 'of a')
  time.ms = 1_000
  assert.equal(memory.get('a'), undefined)
})

test('a clock that is set back ends a life rather than prolonging it', () => {
  const { memory, time, learn } = createMemory(10)
  time.ms = 3_600_000
  learn('a')
  time.ms = 0
  assert.equal(memory.get('a'), undefined)
})

test('when it is full the oldest goes; an entry learnt anew is young again', () => {
  const { memory, learn } = createMemory(3)
  for (const key of ['a', 'b', 'c', 'a', 'd']) learn(key)
  assert.deepEqual(['a', 'b', 'c', 'd'].map(key => memory.get(key)), ['of a', undefined, 'of c', 'of d'])
})
