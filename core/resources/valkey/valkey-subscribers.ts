// Tracks the subscribers of each channel in this process: any number of them share one subscription to the server.

type Take = (text: string) => void

export class Subscribers {
  readonly #takers = new Map<string, Set<{ take: Take }>>()

  /** `isFirst`, and `isLast` from `leave`, say when the channel itself must be joined or left. */
  join (channel: string, take: Take): { isFirst: boolean, leave: () => { isLast: boolean } } {
    const taker = { take }
    const takers = this.#takers.get(channel)
    if (takers === undefined) this.#takers.set(channel, new Set([taker]))
    else takers.add(taker)
    const leave = (): { isLast: boolean } => {
      const left = this.#takers.get(channel)
      if (left?.delete(taker) !== true || left.size > 0) return { isLast: false }
      this.#takers.delete(channel)
      return { isLast: true }
    }
    return { isFirst: takers === undefined, leave }
  }

  /** Remembers the current subscribers. The result delivers a text to those that are still subscribed. */
  round (channel: string): (text: string) => void {
    const takers = this.#takers.get(channel)
    const listening = [...takers ?? []]
    return text => { for (const taker of listening) if (takers?.has(taker) === true) taker.take(text) }
  }

  channels (): string[] {
    return [...this.#takers.keys()]
  }

  clear (): void {
    for (const takers of this.#takers.values()) takers.clear()
    this.#takers.clear()
  }
}
