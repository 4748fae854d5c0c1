// Limits how many calls run at the same time. The others wait in lines, each of which is bounded in length and time.
// Plugins use this file through the contract, so it follows semver.

import type { Sleeper } from './loop.ts'

export interface LimitOptions {
  readonly clock: Sleeper
  /** How many calls run at the same time. */
  readonly atOnce: number
  /** How many calls may wait in one line. */
  readonly waitingMax: number
  /** The longest wait in milliseconds. */
  readonly waitMs: number
  /** Creates the error for a call whose line is full or whose turn does not come in time. */
  readonly refusal: () => Error
  /** The line whose calls always come next; by default no line is preferred. */
  readonly first?: string
}

export interface LimitCall {
  /** The calls of one line run in the order in which they came, and the lines take turns; by default there is one line. */
  readonly line?: string | undefined
  /** Ends the wait: the call rejects with the signal's reason. It does not end the work. */
  readonly signal?: AbortSignal | undefined
}

export interface Limit {
  /** Runs `work` when its turn comes, and settles as it does. Rejects before `work` begins when the call is refused. */
  run<T> (work: () => Promise<T>, options?: LimitCall): Promise<T>
  /** True when no call runs or waits. */
  readonly isIdle: boolean
}

/** Abort reason of a wait that is over: a string, because the stack of an `Error` costs more than the rest of the wait. */
const entered = 'the turn has come'

export function createLimit ({ clock, atOnce, waitingMax, waitMs, refusal, first }: LimitOptions): Limit {
  let running = 0
  /** Waiting calls by line, in the order of the lines' turns. */
  const lines = new Map<string, Set<() => void>>()

  const wait = async (line: string, signal: AbortSignal | undefined): Promise<void> => {
    const own = lines.get(line) ?? new Set()
    if (own.size >= waitingMax) throw refusal()
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const waiting = new AbortController()
    const enter = (): void => {
      waiting.abort(entered)
      resolve(undefined)
    }
    const giveUp = (reason: unknown): void => {
      if (!own.delete(enter)) return
      if (own.size === 0) lines.delete(line)
      reject(reason)
    }
    lines.set(line, own.add(enter))
    clock.sleep(waitMs, signal === undefined ? waiting.signal : AbortSignal.any([waiting.signal, signal]))
      .then(() => giveUp(refusal()), giveUp)
    await promise
  }

  /** Hands the place of a finished call to the next one, so `running` stays the same while any call waits. */
  const pass = (): void => {
    const line = first !== undefined && lines.has(first) ? first : lines.keys().next().value
    const own = line === undefined ? undefined : lines.get(line)
    const [enter] = own ?? []
    if (line === undefined || own === undefined || enter === undefined) {
      running--
      return
    }
    own.delete(enter)
    // The other lines have their turns before the next turn of this one.
    lines.delete(line)
    if (own.size > 0) lines.set(line, own)
    enter()
  }

  return {
    async run (work, { line = '', signal } = {}) {
      signal?.throwIfAborted()
      if (running < atOnce) running++
      else await wait(line, signal)
      try {
        return await work()
      } finally {
        pass()
      }
    },
    get isIdle () { return running === 0 }
  }
}
