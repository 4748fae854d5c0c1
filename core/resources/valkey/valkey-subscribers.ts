// Who in this process listens to which channel: any number share one subscription.

type Take = (text: string) => void

export class Subscribers {
  readonly #takers = new Map<string, Set<{ take: Take }>>()

  /** `isFirst` and what `leave` answers (`isLast`) say when the channel itself is to be joined or left. */
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

  /** Who listens now; the result takes a message to those of them who still do. */
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
