// The pulse: what is silent is told from what is slow, and from what only this process was too busy to hear.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Pulse, SystemSilent } from '../../core/resources/pulse.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createLog } from '../support/part.ts'
import { until } from '../support/until.ts'

const never = (signal: AbortSignal) => new Promise<never>((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason as Error)) })

/** A system whose answers the test gives. */
function listen (t: TestContext, { answer = never }: { answer?: (signal: AbortSignal) => Promise<unknown> } = {}) {
  const clock = createFakeClock()
  const system = { answer, asked: 0, silences: 0, returns: 0, log: [] as object[] }
  const pulse = new Pulse({
    name: 'the system',
    clock,
    log: createLog(system.log),
    ask: signal => { system.asked++; return system.answer(signal) },
    onSilence: () => { system.silences++ },
    onReturn: () => { system.returns++ }
  })
  t.after(() => pulse.close())
  /** In small steps, as time passes. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 10) { await clock.advance(10); await turn() }
  }
  return { clock, pulse, system, pass }
}

test('where nothing is asked, nobody is bothered and no timer runs', async t => {
  const { clock, system, pulse, pass } = listen(t)
  await pass(5_000)
  assert.deepEqual([clock.sleepers, system.asked, pulse.isSilent], [0, 0, false])
  pulse.begin()
  pulse.end()
  await pass(100)
  assert.equal(clock.sleepers, 0)
})

test('what waits is told within a second of asking when nothing answers, and later ones at once', async t => {
  const { system, pulse, pass } = listen(t)
  pulse.begin()
  const { signal } = pulse
  await pass(700)
  assert.equal(signal.aborted, false)
  await pass(290)
  assert.ok(signal.reason instanceof SystemSilent)
  assert.deepEqual([system.silences, pulse.isSilent, pulse.signal.aborted], [1, true, true])
  await assert.rejects(pulse.check(new AbortController().signal), /answered nothing for 850 ms/)
})

test('who asks when others have waited for long waits no longer than they', async t => {
  const { pulse, pass } = listen(t)
  pulse.begin()
  await pass(500)
  pulse.begin()
  await pass(490)
  assert.ok(pulse.isSilent)
})

test('what is slow on a system that answers is never cut off, whether or not others ask', async t => {
  const { system, pulse, pass } = listen(t, { answer: async () => undefined })
  pulse.begin()
  await pass(60_000)
  assert.equal(pulse.isSilent, false)
  assert.ok(system.asked < 60_000 / 150, `asked ${system.asked} times in a minute`)
  for (let second = 0; second < 60; second++) {
    await pulse.check(new AbortController().signal)
    await pass(500)
  }
  assert.deepEqual([system.silences, pulse.signal.aborted], [0, false])
})

test('any sign of life is enough, though the question itself is never answered', async t => {
  const { system, pulse, pass } = listen(t)
  pulse.begin()
  for (let i = 0; i < 20; i++) {
    await pass(700)
    pulse.beat()
  }
  assert.equal(system.silences, 0)
})

test('a question that fails at once is no sign of life, nor the end of one', async t => {
  const { system, pulse, pass } = listen(t, { answer: async () => { throw new Error('refused') } })
  pulse.begin()
  await pass(700)
  assert.equal(pulse.isSilent, false)
  await pass(290)
  assert.ok(pulse.isSilent)
  await assert.rejects(pulse.check(new AbortController().signal), /refused|answered nothing/)
  assert.equal(system.silences, 1)
})

test('time in which this process did not get to run is not held against the system', async t => {
  const { clock, pulse, system, pass } = listen(t)
  pulse.begin()
  for (let i = 0; i < 6; i++) await clock.advance(50)
  // One look, late by a minute: the fake clock jumps before it wakes anybody.
  const { now } = clock
  let jumpMs = 0
  clock.now = () => now() + jumpMs
  jumpMs = 60_000
  await pass(60)
  assert.equal(pulse.isSilent, false)
  await pass(900)
  assert.equal(system.silences, 1)
})

test('an answer that lies in the socket when the look comes late is heard before the judgement', async t => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1').resume()
  const [far] = await once(server, 'connection') as [Socket]
  t.after(() => { near.destroy(); far.destroy() })
  // A clock that wakes its sleeper in the midst of what the test does: the loop has no turn in between.
  let nowMs = 0
  let wake = (): void => undefined
  const clock = { now: () => nowMs, sleep: () => new Promise<void>(resolve => { wake = resolve }) }
  let seen = 0
  const hasHeard = (): boolean => { const { bytesRead } = near; const has = bytesRead > seen; seen = bytesRead; return has }
  const pulse = new Pulse({ name: 'the system', clock, log: createLog(), ask: never, hasHeard })
  t.after(() => pulse.close())
  pulse.begin()
  while (nowMs < 800) {
    nowMs += 50
    wake()
    await turn()
  }
  far.write('an answer')
  nowMs += 50
  wake()
  await until(() => near.bytesRead > 0)
  await turn()
  assert.equal(pulse.isSilent, false)
})

test('a silent system is polled until it answers, whoever else asks; then all is open again', async t => {
  const { system, pulse, pass } = listen(t, { answer: async () => { throw new Error('refused') } })
  pulse.begin()
  await pass(1_000)
  pulse.end()
  const back = pulse.whenBack(new AbortController().signal)
  const before = system.asked
  await pass(5_000)
  assert.ok(system.asked > before + 10)
  system.answer = async () => undefined
  await pass(150)
  await back
  assert.deepEqual([pulse.isSilent, pulse.signal.aborted, system.silences, system.returns], [false, false, 1, 1])
  await pulse.check(new AbortController().signal)
  await pulse.whenBack(new AbortController().signal)
  assert.match(JSON.stringify(system.log), /calls to it are refused.*answers again/)
})

test('checks share one question, and each ends when it is told to', async t => {
  const { system, pulse } = listen(t)
  const stop = new AbortController()
  const reason = new Error('the host is stopping')
  const checks = [1, 2, 3].map(() => pulse.check(stop.signal))
  stop.abort(reason)
  for (const check of checks) await assert.rejects(check, reason)
  assert.equal(system.asked, 1)
})

test('a question that hangs while others are answered is given up, and the next check asks anew', async t => {
  const { system, pulse, pass } = listen(t)
  const given = assert.rejects(pulse.check(new AbortController().signal), /no answer within 700 ms/)
  for (let i = 0; i < 10; i++) {
    await pass(100)
    pulse.beat()
  }
  await given
  system.answer = async () => undefined
  await pulse.check(new AbortController().signal)
  assert.equal(system.asked, 2)
})

test('a question whose answer comes while this process does not get to run is answered', async t => {
  const answer = Promise.withResolvers<undefined>()
  const { clock, pulse, pass } = listen(t, { answer: () => answer.promise })
  const checked = pulse.check(new AbortController().signal)
  await pass(200)
  const { now } = clock
  clock.now = () => now() + 60_000
  await pass(100)
  answer.resolve(undefined)
  await checked
})

test('closing ends the asking, in a silence too', async t => {
  const { clock, system, pulse, pass } = listen(t)
  pulse.begin()
  await pass(1_000)
  assert.ok(pulse.isSilent)
  pulse.close()
  await until(() => clock.sleepers === 0)
  const { asked } = system
  await pass(2_000)
  assert.equal(system.asked, asked)
})
