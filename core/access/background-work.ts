// Runs work that no request waits for. The end of the access module waits for all of it, and each failure is logged.

import type { Log } from '../contract/index.ts'

export class Background {
  readonly #log: Log
  readonly #underWay = new Set<Promise<void>>()

  constructor (log: Log) {
    this.#log = log
  }

  /** `failure` is the message that is logged when `work` rejects: it says what did not happen and what that means. */
  run (failure: string, work: () => Promise<unknown>): void {
    const done = work()
      .then(() => undefined, (err: unknown) => this.#log.warn({ err }, failure))
      .finally(() => this.#underWay.delete(done))
    this.#underWay.add(done)
  }

  async settled (): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }
}
