// Bounds how many sessions are open on the database. Each has one owner from its beginning to its end, the host or one plugin, because a session
// keeps what is done in it: temporary tables, settings, locks. At the limit, an idle one is closed to make room for another owner's.

export interface Session {
  /** Undefined for the host. */
  readonly owner: string | undefined
  /** Closes it. Called only while it is idle. */
  readonly giveUp: () => void
}

export class SessionLimit {
  readonly #max: number
  /** So many idle sessions of the host are not closed for a plugin. */
  readonly #hostKeeps: number
  #open = 0
  /** Closed for those who wait, and not ended yet. */
  readonly #givenUp = new Set<Session>()
  /** Those that have been idle for longest come first. */
  readonly #idle = new Set<Session>()
  readonly #waiting: (() => void)[] = []

  constructor ({ max, hostKeeps }: { max: number, hostKeeps: number }) {
    this.#max = max
    this.#hostKeeps = hostKeeps
  }

  /** Resolves once one more session may be opened. The gate admits no more work than `max`, so one of the open ones is idle, or soon will be. */
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

  /** A session that was begun has ended, or could not be opened. */
  end (session: Session): void {
    this.#idle.delete(session)
    this.#givenUp.delete(session)
    const next = this.#waiting.shift()
    if (next === undefined) this.#open--
    else next()
  }

  setIdle (session: Session): void {
    this.#idle.add(session)
    this.#makeRoom()
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

  /** The owner with the most idle sessions gives up the one that it has used least lately. */
  #findSpare (): Session | undefined {
    const byOwner = Map.groupBy(this.#idle, ({ owner }) => owner)
    let most: readonly Session[] = []
    for (const [owner, sessions] of byOwner) {
      const spare = owner === undefined ? sessions.slice(this.#hostKeeps) : sessions
      if (spare.length > most.length) most = spare
    }
    // Where only the host has idle ones, it goes without.
    return most[0] ?? byOwner.get(undefined)?.[0]
  }
}
