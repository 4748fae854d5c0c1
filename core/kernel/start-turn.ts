// The waits of one start or replacement of a unit. When the unit is told to give up, the wait in progress ends.

import type { Clock } from '../contract/clock.ts'
import type { Alarm } from './alarm.ts'

export interface Timing {
  readonly clock: Clock
  readonly alarm: Alarm
}

export class StartTurn {
  readonly #timing: Timing
  #isOver = false
  #wake: (() => void) | undefined

  constructor (timing: Timing) {
    this.#timing = timing
  }

  now (): number {
    return this.#timing.clock.now()
  }

  /** Tells whether the unit was told to give up. Callers ask after every wait: another call then controls the unit. */
  isOver (): boolean {
    return this.#isOver
  }

  giveUp (): void {
    this.#isOver = true
    this.#wake?.()
  }

  /** Waits until `atMs`, or less when `settled` resolves or the unit is told to give up. */
  until (atMs: number, settled?: Promise<unknown>): Promise<void> {
    return new Promise(resolve => {
      const wake = (): void => {
        if (this.#wake !== wake) return
        this.#wake = undefined
        cancel()
        resolve()
      }
      this.#wake = wake
      const cancel = this.#timing.alarm.at(atMs, wake)
      if (this.#isOver) wake()
      else void settled?.then(wake)
    })
  }
}
