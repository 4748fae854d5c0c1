// Limits the memory that the bodies of all unknown callers take together while they arrive. Each body is small, but
// there may be as many as connections.

import { ServiceUnavailable } from '../../contract/index.ts'

export interface BodyShare {
  /** Counts bytes that are allocated for the body. It may give up other bodies, or this one. */
  add (bytes: number): void
  /** Stops counting the body, because it is complete or was given up. */
  end (): void
}

export interface BodyShares {
  /**
   * Starts counting a body. When the body has to make room, `giveUp` is called with the error that answers its request.
   */
  open (giveUp: (error: Error) => void): BodyShare
}

interface Held { bytes: number, readonly giveUp: (error: Error) => void }

const retryAfterMs = 1_000

/**
 * When the bodies together exceed `maxBytes`, the one that has been arriving the longest is given up. Clients that send
 * slowly therefore never keep out a client that sends its body at once.
 */
export function createBodyShares (maxBytes: number): BodyShares {
  /** Bodies in order of arrival. */
  const held = new Set<Held>()
  let total = 0

  const drop = (body: Held): void => {
    if (held.delete(body)) total -= body.bytes
  }
  const makeRoom = (): void => {
    for (const oldest of held) {
      // A single body is already bounded by the limit of its route.
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
