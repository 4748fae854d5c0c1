// Detects within a second that an outside system has fallen silent, and soon after its return that it answers again.

import { setImmediate as pollPhase } from 'node:timers/promises'
import { DeadlinePassed } from '../concurrency/deadline.ts'
import { pause } from '../concurrency/loop.ts'
import { untilAborted } from '../concurrency/until-aborted.ts'
import type { Clock, Log } from '../contract/index.ts'

export interface PulseParts {
  /** Name of the system in errors and log lines: `the database`. */
  readonly name: string
  readonly clock: Clock
  readonly log: Log
  /**
   * Sends a query that a healthy system answers at once, however busy it is with other work. Must give up when `signal`
   * aborts.
   */
  readonly ask: (signal: AbortSignal) => Promise<unknown>
  /**
   * True when any data has come from the system since the last call, where that can be seen. For other systems,
   * `beat()` reports it.
   */
  readonly hasHeard?: () => boolean
  /** Must end the calls that still wait for an answer, where `signal` does not end them. */
  readonly onSilence?: () => void
  readonly onReturn?: () => void
}

/** The abort reason of `Pulse.signal`. */
export class SystemSilent extends Error {
  constructor (name: string) {
    super(`${name} has answered nothing for ${silentAfterMs} ms`)
    this.name = 'SystemSilent'
  }
}

const tickMs = 50
/** A slow system and a silent system look the same from outside, so the pulse sends a quick query before it decides. */
const askAfterMs = 150
const silentAfterMs = 850
const answerMs = silentAfterMs - askAfterMs
const pauseMs = 100

/**
 * While a call waits for an answer and no data at all arrives, the pulse queries the system. When that query gets no
 * answer either, the system is silent: `signal` aborts, and the pulse repeats its query until the system answers. No
 * slow call is therefore cut off on a system that answers, and no other code needs to query it.
 */
export class Pulse {
  readonly #parts: PulseParts
  readonly #closing = new AbortController()
  #life = new AbortController()
  #back = Promise.withResolvers<undefined>()
  #waiting = 0
  #isWatching = false
  #hasBeat = false
  #asking = new AbortController()
  #question: Promise<void> | undefined
  #reason: unknown

  constructor (parts: PulseParts) {
    this.#parts = parts
  }

  /** Aborts when the system falls silent. A new signal takes its place when the system returns. */
  get signal (): AbortSignal {
    return this.#life.signal
  }

  get isSilent (): boolean {
    return this.#life.signal.aborted
  }

  /** Marks that a call waits for an answer from now on, until `end()`. */
  begin (): void {
    this.#waiting++
    if (!this.#isWatching) void this.#watch()
  }

  end (): void {
    this.#waiting--
  }

  /** Reports that the system has answered something. */
  beat (): void {
    this.#hasBeat = true
  }

  /** Rejects with the reason when the system does not answer; at once while it is known to be silent. */
  async check (signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.isSilent) throw this.#reason
    this.begin()
    try {
      await untilAborted(signal, this.#askSince())
    } finally {
      this.end()
    }
  }

  /** Resolves at once when the system is not silent, and otherwise on its return. */
  async whenBack (signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.isSilent) await untilAborted(signal, this.#back.promise)
  }

  close (): void {
    const reason = new Error(`${this.#parts.name} is being closed`)
    this.#closing.abort(reason)
    this.#asking.abort(reason)
  }

  /** Uses one timer for all waiting calls, and none while no call waits. */
  async #watch (): Promise<void> {
    const { clock } = this.#parts
    this.#isWatching = true
    this.#hears()
    let quietMs = 0
    let lookedAt = clock.now()
    while (this.#waiting > 0 && await this.#sleep(tickMs)) {
      const now = clock.now()
      // A tick that comes late means that this process did not get to run; it says nothing about the system.
      quietMs += Math.min(Math.max(now - lookedAt, tickMs), 2 * tickMs)
      lookedAt = now
      if (this.#hears()) quietMs = 0
      else if (quietMs >= silentAfterMs) {
        // Data that already lies in the sockets is read before the decision.
        await pollPhase()
        if (!this.#hears()) await this.#endureSilence()
        quietMs = 0
        lookedAt = clock.now()
      } else if (quietMs >= askAfterMs) this.#ask().catch(() => { /* The error is stored as the reason. */ })
    }
    this.#isWatching = false
  }

  #hears (): boolean {
    const hasBeat = this.#hasBeat
    this.#hasBeat = false
    return this.#parts.hasHeard?.() === true || hasBeat
  }

  async #endureSilence (): Promise<void> {
    const { name, clock, log, onSilence, onReturn } = this.#parts
    const since = clock.now()
    const silence = new SystemSilent(name)
    this.#back = Promise.withResolvers()
    this.#asking.abort(silence)
    this.#reason = silence
    this.#life.abort(silence)
    onSilence?.()
    log.warn(`${silence.message}; calls to it are refused until it answers`)
    while (!await this.#ask().then(() => true, () => false)) if (!await this.#sleep(pauseMs)) return
    this.#life = new AbortController()
    onReturn?.()
    this.#back.resolve(undefined)
    log.info({ silentMs: Math.round(clock.now() - since) }, `${name} answers again`)
  }

  /**
   * An answer to an earlier query counts. Its failure says nothing about the present, so the system is queried again.
   */
  async #askSince (): Promise<void> {
    const earlier = this.#question?.then(() => true, () => false)
    if (await earlier === true) return
    if (this.isSilent) throw this.#reason
    await this.#ask()
  }

  /** Callers share a query that is under way, so that all of them together take no more than one place. */
  #ask (): Promise<void> {
    return this.#question ??= this.#put().finally(() => { this.#question = undefined })
  }

  async #put (): Promise<void> {
    const asking = this.#asking = new AbortController()
    let isSettled = false
    void this.#limit(asking, () => isSettled)
    try {
      await untilAborted(asking.signal, this.#parts.ask(asking.signal))
      this.#hasBeat = true
    } catch (error) {
      this.#reason = error
      throw error
    } finally {
      isSettled = true
    }
  }

  /** Aborts the query after `answerMs`. It waits in small steps, each of which counts once however late it ends. */
  async #limit (asking: AbortController, isSettled: () => boolean): Promise<void> {
    for (let leftMs = answerMs; leftMs > 0; leftMs -= tickMs) if (isSettled() || !await this.#sleep(tickMs)) return
    await pollPhase()
    if (!isSettled()) asking.abort(new DeadlinePassed(answerMs))
  }

  /** Resolves with false when the pulse was closed. */
  #sleep (ms: number): Promise<boolean> {
    return pause(this.#parts.clock, ms, this.#closing.signal)
  }
}
