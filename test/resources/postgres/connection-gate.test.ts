// The gate: so many at once, so many waiting, so long, and not a timer more than needed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServiceUnavailable } from '../../../core/contract/index.ts'
import { createGate, type Entrance, type GateSettings } from '../../../core/resources/postgres/connection-gate.ts'
import { createFakeClock } from '../../support/fake-clock.ts'

function open (settings: Partial<GateSettings> = {}) {
  const clock = createFakeClock()
  return { clock, gate: createGate({ name: 'the database', limit: 1, queueMax: 10, waitMs: 100, ...settings }, clock) }
}

/** Work that lasts until it is told to end. */
function hold () {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  return { work: () => promise, resolve, reject }
}

test('what the work gives comes out, and so does what it throws', async () => {
  const { gate } = open()
  assert.equal(await gate.run(async () => 'done'), 'done')
  await assert.rejects(gate.run(async () => { throw new RangeError('no') }), RangeError)
  assert.equal(gate.running, 0)
})

test('no more than the limit run at once, and those who wait come in the order they came', async () => {
  const { gate } = open({ limit: 2 })
  const held = [hold(), hold(), hold(), hold()]
  const started: number[] = []
  const all = held.map(({ work }, index) => gate.run(() => { started.push(index); return work() }))
  assert.deepEqual([gate.running, gate.waiting, started], [2, 2, [0, 1]])
  held[1]?.resolve('')
  await all[1]
  assert.deepEqual([gate.running, gate.waiting, started], [2, 1, [0, 1, 2]])
  held[0]?.reject(new Error('a failure leaves its place too'))
  await assert.rejects(all[0] ?? Promise.resolve())
  assert.deepEqual([gate.running, gate.waiting, started], [2, 0, [0, 1, 2, 3]])
  held[2]?.resolve('')
  held[3]?.resolve('')
  await Promise.all(all.slice(2))
  assert.equal(gate.running, 0)
})

test('one more than may wait is refused at once, with when to come again', async () => {
  const { gate } = open({ queueMax: 1 })
  const first = hold()
  const all = [gate.run(first.work), gate.run(async () => '')]
  await assert.rejects(gate.run(async () => ''), error => error instanceof ServiceUnavailable && error.retryAfterMs === 100)
  first.resolve('')
  await Promise.all(all)
})

test('who has waited too long is refused, and who came later has the whole of its own wait', async () => {
  const { gate, clock } = open()
  const first = hold()
  const running = gate.run(first.work)
  const early = gate.run(async () => 'early')
  const earlyRefused = assert.rejects(early, ServiceUnavailable)
  await clock.advance(60)
  const late = gate.run(async () => 'late')
  await clock.advance(40)
  await earlyRefused
  assert.equal(gate.waiting, 1)
  await clock.advance(59)
  assert.equal(gate.waiting, 1)
  first.resolve('')
  assert.equal(await late, 'late')
  await running
  assert.deepEqual([gate.running, gate.waiting], [0, 0])
})

test('a wait of no time at all is refused, each time', async () => {
  const { gate } = open({ waitMs: 0 })
  const first = hold()
  const running = gate.run(first.work)
  await assert.rejects(gate.run(async () => ''), ServiceUnavailable)
  await assert.rejects(gate.run(async () => ''), ServiceUnavailable)
  first.resolve('')
  await running
})

test('no timer runs while there is a place, and one is enough for all who wait', async () => {
  const { gate, clock } = open({ limit: 2, queueMax: 100 })
  const held = [hold(), hold()]
  const running = held.map(({ work }) => gate.run(work))
  assert.equal(clock.sleepers, 0)
  const waiting = Array.from({ length: 50 }, () => gate.run(async () => ''))
  assert.equal(clock.sleepers, 1)
  for (const { resolve } of held) resolve('')
  await Promise.all([...running, ...waiting])
  await clock.runAll()
  assert.equal(clock.sleepers, 0)
})

test('closing refuses who waits and who comes, and lets finish who runs', async () => {
  const { gate, clock } = open()
  const first = hold()
  const running = gate.run(first.work)
  const waiting = assert.rejects(gate.run(async () => ''), ServiceUnavailable)
  gate.close()
  await waiting
  await assert.rejects(gate.run(async () => ''), ServiceUnavailable)
  first.resolve('finished')
  assert.equal(await running, 'finished')
  await clock.runAll()
  assert.equal(clock.sleepers, 0)
})

test('a shut gate refuses waiting and new callers with its error, and admits them once open', async () => {
  const { gate } = open()
  const first = hold()
  const running = gate.run(first.work)
  const waiting = assert.rejects(gate.run(async () => ''), RangeError)
  gate.shut(() => new RangeError('away'))
  await waiting
  await assert.rejects(gate.run(async () => ''), RangeError)
  first.resolve('finished')
  assert.equal(await running, 'finished')
  assert.deepEqual([gate.running, gate.waiting], [0, 0])
  gate.open()
  assert.equal(await gate.run(async () => 'in'), 'in')
})

test('what is closed does not open again', async () => {
  const { gate } = open()
  gate.close()
  gate.shut(() => new RangeError('away'))
  gate.open()
  await assert.rejects(gate.run(async () => ''), ServiceUnavailable)
})

/** Lets `count` pieces of work come that end when they are told; gives how many of them run by then. */
function crowd ({ run }: Entrance, count: number, terms: Parameters<Entrance['run']>[1] = {}) {
  const over = Promise.withResolvers<undefined>()
  let running = 0
  const all = Promise.all(Array.from({ length: count }, () => run(async () => { running++; await over.promise }, terms)))
  return { get running () { return running }, end: async () => { over.resolve(undefined); await all } }
}

test('guests leave the host its places, and the host may have all', async () => {
  const { gate } = open({ limit: 10, hostReserve: 2, queueMax: 50 })
  const guests = [crowd(gate.guest('a'), 20), crowd(gate.guest('b'), 20)]
  assert.equal(gate.running, 8)
  const host = crowd(gate, 5)
  assert.equal(host.running, 2)
  await Promise.all([...guests, host].map(({ end }) => end()))
  const alone = crowd(gate, 12)
  assert.equal(alone.running, 10)
  await alone.end()
  assert.deepEqual([gate.running, gate.waiting], [0, 0])
})

test('a greedy guest keeps to its share, and one that comes later finds a place at once', async () => {
  const { gate } = open({ limit: 10, hostReserve: 2, shareMax: 4, queueMax: 50 })
  const greedy = ['a', 'b', 'c'].map(id => crowd(gate.guest(id), 20))
  assert.equal(greedy[0]?.running, 4)
  assert.ok(greedy.every(({ running }) => running >= 1))
  const late = crowd(gate.guest('d'), 1)
  assert.equal(late.running, 1)
  await Promise.all([...greedy, late].map(({ end }) => end()))
})

test('a user leaves other users a place in a guest\'s share; work without a user may use it all', async () => {
  const { gate } = open({ limit: 10, hostReserve: 2, shareMax: 4, queueMax: 50 })
  const guest = gate.guest('a')
  const greedy = crowd(guest, 20, { user: 'ada' })
  assert.equal(greedy.running, 3)
  const other = crowd(guest, 1, { user: 'eve' })
  assert.equal(other.running, 1)
  await Promise.all([greedy.end(), other.end()])
  const own = crowd(guest, 20)
  assert.equal(own.running, 4)
  await own.end()
})

test('long work of one user leaves another user a place for long work', async () => {
  const { gate } = open({ limit: 10, hostReserve: 2, shareMax: 4, queueMax: 50 })
  const guest = gate.guest('a')
  const greedy = crowd(guest, 20, { user: 'ada', isLong: true })
  const other = crowd(guest, 1, { user: 'eve', isLong: true })
  assert.deepEqual([greedy.running, other.running], [2, 1])
  await Promise.all([greedy.end(), other.end()])
})

test('long work leaves the last place of a share to short work, which it may be waiting for', async () => {
  const { gate } = open({ limit: 10, hostReserve: 2, shareMax: 4, queueMax: 50 })
  const guest = gate.guest('a')
  const long = crowd(guest, 20, { isLong: true })
  assert.equal(long.running, 3)
  assert.equal(await guest.run(async () => 'short'), 'short')
  await long.end()
})

test('the refusal of a guest says in its cause whose share is full', async () => {
  const { gate } = open({ limit: 10, hostReserve: 2, shareMax: 4, queueMax: 0 })
  const guest = gate.guest('invoices')
  const full = crowd(guest, 4)
  await assert.rejects(guest.run(async () => ''), error => error instanceof ServiceUnavailable &&
    /plugin "invoices" has 4 of the 4 places/.test((error.cause as Error).message) && !error.message.includes('invoices'))
  await full.end()
})
