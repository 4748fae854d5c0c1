// Limits the memory that all bodies take together while they arrive: those of unknown callers, and apart from them those
// of known ones. The limit of a route bounds one body, but there may be as many as connections.

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

/** Unknown callers have a share of their own, so that they give up no body of a known caller. */
export interface BodyMemory { readonly unknown: BodyShares, readonly known: BodyShares }

/** Bytes for all bodies of unknown and of known callers, each raised so that a few of the largest allowed bodies fit. */
const sharedBytes = { unknown: 16 * 1024 * 1024, known: 128 * 1024 * 1024 }
const largestBodies = 4

export function createBodyMemory (bodyLimitBytes: number): BodyMemory {
  const sharesOf = (bytes: number): BodyShares => createBodyShares(Math.max(bytes, largestBodies * bodyLimitBytes))
  return { unknown: sharesOf(sharedBytes.unknown), known: sharesOf(sharedBytes.known) }
}

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
