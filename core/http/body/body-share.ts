// Bounds how much memory the bodies of unknown callers take together while they arrive: each of them is small, and there are as many as connections.

import { ServiceUnavailable } from '../../contract/index.ts'

export interface BodyShare {
  /** Counts bytes that are allocated for the body. It may give up other bodies, or this one. */
  add (bytes: number): void
  /** Counts the body no more: it is complete, or was given up. */
  end (): void
}

export interface BodyShares {
  /** `giveUp` is called with the error that answers the request when the body has to go. */
  open (giveUp: (error: Error) => void): BodyShare
}

interface Held { bytes: number, readonly giveUp: (error: Error) => void }

const retryAfterMs = 1_000

/**
 * Where bodies exceed `maxBytes` together, the one that has been arriving the longest is given up: a client that sends its body at once is never
 * kept out by those that send theirs slowly.
 */
export function createBodyShares (maxBytes: number): BodyShares {
  /** In order of arrival. */
  const held = new Set<Held>()
  let total = 0

  const drop = (body: Held): void => {
    if (held.delete(body)) total -= body.bytes
  }
  const makeRoom = (): void => {
    for (const oldest of held) {
      // A single body is bounded by the limit of its route.
      if (total <= maxBytes || held.size === 1) return
      drop(oldest)
      oldest.giveUp(new ServiceUnavailable('Too many bodies arrive at once. Send the request again, its body without a pause.', { retryAfterMs }))
    }
  }

  return {
    open (giveUp) {
      const body: Held = { bytes: 0, giveUp }
      held.add(body)
      return {
        add (bytes) {
          if (!held.has(body)) return
          body.bytes += bytes
          total += bytes
          makeRoom()
        },
        end: () => drop(body)
      }
    }
  }
}
