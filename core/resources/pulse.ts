// Notices within a second that an outside system has fallen silent, and soon after its return that it answers again.

import { setImmediate as pollPhase } from 'node:timers/promises'
import { DeadlinePassed } from '../concurrency/deadline.ts'
import type { Clock, Log } from '../contract/index.ts'

export interface PulseParts {
  /** For the log: `the database`. */
  readonly name: string
  readonly clock: Clock
  readonly log: Log
  /** Asks what a healthy system answers at once, however busy it is with other things; must give up when `signal` aborts. */
  readonly ask: (signal: AbortSignal) => Promise<unknown>
  /** Whether anything at all has come from the system since the last look, where that can be seen; elsewhere `beat()` says so. */
  readonly hasHeard?: () => boolean
  /** Must end what still waits for an answer, where `signal` does not. */
  readonly onSilence?: () => void
  readonly onReturn?: () => void
}

/** The reason of `Pulse.signal`. */
export class SystemSilent extends Error {
  constructor (name: string) {
    super(`${name} has answered nothing for ${silentAfterMs} ms`)
    this.name = 'SystemSilent'
  }
}

const tickMs = 50
/** What is slow and what is silent look the same from outside, so before the judgement the system is asked something quick. */
const askAfterMs = 150
const silentAfterMs = 850
const answerMs = silentAfterMs - askAfterMs
const pauseMs = 100

/**
 * While something waits for an answer and nothing at all comes, the system is asked; when that is not answered either, it is silent: `signal`
 * aborts, and it is asked over and over until it answers. So nothing slow is cut off on a system that answers, and nobody else has to ask.
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

  /** Aborts when the system falls silent; on its return another one takes its place. */
  get signal (): AbortSignal {
    return this.#life.signal
  }

  get isSilent (): boolean {
    return this.#life.signal.aborted
  }

  /** Something waits for an answer from here on, until `end()`. */
  begin (): void {
    this.#waiting++
    if (!this.#isWatching) void this.#watch()
  }

  end (): void {
    this.#waiting--
  }

  /** The system has answered something. */
  beat (): void {
    this.#hasBeat = true
  }

  /** Rejects with the reason when the system does not answer, at once while that is known. */
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

  /** Resolves when the system is not silent, or no longer. */
  async whenBack (signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.isSilent) await untilAborted(signal, this.#back.promise)
  }

  close (): void {
    const reason = new Error(`${this.#parts.name} is being closed`)
    this.#closing.abort(reason)
    this.#asking.abort(reason)
  }

  /** One timer however much waits, and none while nothing does. */
  async #watch (): Promise<void> {
    const { clock } = this.#parts
    this.#isWatching = true
    this.#hears()
    let quietMs = 0
    let lookedAt = clock.now()
    while (this.#waiting > 0 && await this.#sleep(tickMs)) {
      const now = clock.now()
      // A look that comes late says that this process did not get to run, and nothing about the system.
      quietMs += Math.min(Math.max(now - lookedAt, tickMs), 2 * tickMs)
      lookedAt = now
      if (this.#hears()) quietMs = 0
      else if (quietMs >= silentAfterMs) {
        // What lies in the sockets by now is read before the judgement.
        await pollPhase()
        if (!this.#hears()) await this.#endureSilence()
        quietMs = 0
        lookedAt = clock.now()
      } else if (quietMs >= askAfterMs) this.#ask().catch(() => { /* Kept as the reason. */ })
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
    log.warn(`${silence.message}; whoever needs it is refused until it answers`)
    while (!await this.#ask().then(() => true, () => false)) if (!await this.#sleep(pauseMs)) return
    this.#life = new AbortController()
    onReturn?.()
    this.#back.resolve(undefined)
    log.info({ silentMs: Math.round(clock.now() - since) }, `${name} answers again`)
  }

  /** A question of before counts when it is answered; that it is not says nothing of now. */
  async #askSince (): Promise<void> {
    const earlier = this.#question?.then(() => true, () => false)
    if (await earlier === true) return
    if (this.isSilent) throw this.#reason
    await this.#ask()
  }

  /** Who asks while a question is under way shares it, so that no more than one place is taken by them all. */
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

  /** In small parts, each of which counts once however late it ends. */
  async #limit (asking: AbortController, isSettled: () => boolean): Promise<void> {
    for (let leftMs = answerMs; leftMs > 0; leftMs -= tickMs) if (isSettled() || !await this.#sleep(tickMs)) return
    await pollPhase()
    if (!isSettled()) asking.abort(new DeadlinePassed(answerMs))
  }

  /** False when the pulse was closed. */
  async #sleep (ms: number): Promise<boolean> {
    return this.#parts.clock.sleep(ms, this.#closing.signal).then(() => true, () => false)
  }
}

async function untilAborted<T> (signal: AbortSignal, work: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
