// Limits how many database sessions are open. Each session has one owner from its beginning to its end, the host or one
// plugin, because a session keeps its state: temporary tables, settings, locks. At the limit, an idle session is closed
// to make room for another owner. A server that has no place for a further session is given time: callers then wait for a
// session that is open.

import type { Clock } from '../../contract/index.ts'

export interface Session {
  /** The plugin's ID; undefined for the host. */
  readonly owner: string | undefined
  /** Closes the session. Called only while it is idle. */
  readonly giveUp: () => void
}

/** Pause between two attempts to open a session on a server that has refused one. */
const refusedMs = 200

export class SessionLimit {
  readonly #max: number
  /** Number of idle host sessions that are not closed for a plugin, except when no other session is idle. */
  readonly #hostKeeps: number
  #open = 0
  /** Sessions that are being closed for waiting callers and have not ended yet. */
  readonly #givenUp = new Set<Session>()
  /** Idle sessions, those that have been idle for longest first. */
  readonly #idle = new Set<Session>()
  readonly #waiting: (() => void)[] = []
  /** Until then, no further session is opened: the server has refused one. */
  #refusedUntil = 0
  #freed = Promise.withResolvers<undefined>()

  constructor ({ max, hostKeeps }: { max: number, hostKeeps: number }) {
    this.#max = max
    this.#hostKeeps = hostKeeps
  }

  /**
   * Resolves once one more session may be opened. The gate admits no more work than `max`, so one of the open sessions
   * is idle, or soon will be.
   */
  async begin (): Promise<void> {
    if (this.#open < this.#max) {
      this.#open++
      return
    }
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.#waiting.push(() => resolve(undefined))
    this.#makeRoom()
    await promise
  }

  /** True while the server has no place for a further session, as far as is known. */
  isRefused (nowMs: number): boolean {
    return nowMs < this.#refusedUntil
  }

  /** Must be called when the server has refused a session. An idle session of another owner makes room for it. */
  refuse (nowMs: number): void {
    this.#refusedUntil = nowMs + refusedMs
    const spare = this.#findSpare()
    if (spare === undefined) return
    this.#idle.delete(spare)
    spare.giveUp()
  }

  /** Resolves when a session is free again or has ended, and when another attempt may be made. */
  async whenFreed (clock: Clock): Promise<void> {
    await Promise.race([this.#freed.promise, clock.sleep(refusedMs)])
  }

  #announceFreed (): void {
    this.#freed.resolve(undefined)
    this.#freed = Promise.withResolvers()
  }

  /** Must be called when a session has ended, or could not be opened. */
  end (session: Session, wasOpen = true): void {
    if (wasOpen) {
      this.#refusedUntil = 0
      this.#announceFreed()
    }
    this.#idle.delete(session)
    this.#givenUp.delete(session)
    const next = this.#waiting.shift()
    if (next === undefined) this.#open--
    else next()
  }

  setIdle (session: Session): void {
    this.#idle.add(session)
    this.#makeRoom()
    this.#announceFreed()
  }

  setBusy (session: Session): void {
    this.#idle.delete(session)
  }

  #makeRoom (): void {
    while (this.#waiting.length > this.#givenUp.size) {
      const session = this.#findSpare()
      if (session === undefined) return
      this.#idle.delete(session)
      this.#givenUp.add(session)
      session.giveUp()
    }
  }

  /**
   * Finds the session to close: the owner with the most idle sessions loses the one that it has not used for longest.
   */
  #findSpare (): Session | undefined {
    const byOwner = Map.groupBy(this.#idle, ({ owner }) => owner)
    let most: readonly Session[] = []
    for (const [owner, sessions] of byOwner) {
      const spare = owner === undefined ? sessions.slice(this.#hostKeeps) : sessions
      if (spare.length > most.length) most = spare
    }
    // When only the host has idle sessions, it loses one of those.
    return most[0] ?? byOwner.get(undefined)?.[0]
  }
}
