// Pauses that a signal ends, and a loop whose pauses can be ended early.

export interface Sleeper {
  /** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as `signal` aborts. */
  sleep (ms: number, signal?: AbortSignal): Promise<void>
}

/** Resolves with true after `ms` milliseconds, and with false as soon as `signal` aborts. */
export const pause = (clock: Sleeper, ms: number, signal: AbortSignal): Promise<boolean> =>
  clock.sleep(ms, signal).then(() => !signal.aborted, (reason: unknown) => {
    if (!signal.aborted) throw reason
    return false
  })

export interface LoopOptions {
  readonly clock: Sleeper
  /** Milliseconds before each step. A function is called before each pause. */
  readonly pauseMs: number | (() => number)
  /** Must not reject. `isWoken` is true when `wake` has ended the pause. */
  readonly step: (isWoken: boolean) => void | Promise<void>
}

export interface Loop {
  begin (): void
  /** Ends the pause. Before the loop begins, or during a step, the next pause ends at once. */
  wake (): void
  /** Begins no further step. Resolves once the step under way is over. */
  end (): Promise<void>
}

/** Abort reason of a wake-up: a string, because the stack of an `Error` costs more than the rest of the wake-up. */
const woken = 'woken'

/** Repeats `step`, with a pause before each. */
export function createLoop ({ clock, pauseMs, step }: LoopOptions): Loop {
  let isOver = false
  let waking = new AbortController()
  let running = Promise.resolve()
  const run = async (): Promise<void> => {
    for (;;) {
      const isWoken = !await pause(clock, typeof pauseMs === 'number' ? pauseMs : pauseMs(), waking.signal)
      if (isOver) return
      if (isWoken) waking = new AbortController()
      await step(isWoken)
    }
  }
  const wake = (): void => { if (!waking.signal.aborted) waking.abort(woken) }
  return {
    begin: () => { running = run() },
    wake,
    end: () => {
      isOver = true
      wake()
      return running
    }
  }
}
