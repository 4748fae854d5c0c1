// Hashes and verifies passwords with argon2id, off the event loop. The number that runs at once is limited,
// so that the rest of the host does not wait for threads.

import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { argon2id, hash, verify } from 'argon2'
import { createLimit } from '../../concurrency/limit.ts'
import { TooManyRequests, type Clock } from '../../contract/index.ts'
import { isStorable } from '../../contract/text.ts'

export const passwordLength = { min: 8, max: 1_024 } as const

export interface PasswordCost { readonly memoryCost: number, readonly timeCost: number, readonly parallelism: number }
const defaultCost: PasswordCost = { memoryCost: 64 * 1_024, timeCost: 3, parallelism: 1 }

/**
 * Hashes computed at the same time. Node has four threads for files, name lookups, compression and these hashes;
 * one of them is always left to the other work.
 */
const atOnce = Math.max(1, Math.min(availableParallelism() - 1, 3))

/** Says why a text cannot be a password; undefined when it can. */
export const findPasswordFault = (password: string): string | undefined => !isPasswordLength(password)
  ? `It must have ${passwordLength.min} to ${passwordLength.max} characters.`
  : isStorable(password) ? undefined : unstorablePassword
export const unstorablePassword = 'It must hold no NUL character and no half of a surrogate pair.'

export const isPasswordLength = ({ length }: string): boolean => length >= passwordLength.min && length <= passwordLength.max

export interface Passwords {
  hash (password: string): Promise<string>
  /**
   * Returns whether `stored` is the hash of this password. Without a stored hash, as for a user who does not exist,
   * it returns false after the same time. Throws `TooManyRequests` when too many callers wait already,
   * or when the turn does not come in time. Callers with `isKnown` come before the others,
   * so that a flood of unknown callers locks no known user out.
   */
  isRight (password: string, stored: string | undefined, options?: { isKnown?: boolean }): Promise<boolean>
}

/**
 * `cost` is that of argon2id, with `memoryCost` in KiB. Hosts use the default cost.
 * Tests of other subjects use a lower cost.
 */
export function createPasswords (clock: Clock, cost: PasswordCost = defaultCost): Passwords {
  const limit = createLimit({
    clock, atOnce, waitingMax: 32, waitMs: 10_000, first: 'known',
    refusal: () => new TooManyRequests('Too many people are signing in at this moment. Try again shortly.', { retryAfterMs: 2_000 })
  })
  // This hash costs as much to verify as a real one. It belongs to no password, because its digest is random.
  const nobodysHash = `$argon2id$v=19$m=${cost.memoryCost},t=${cost.timeCost},p=${cost.parallelism}$${base64(16)}$${base64(32)}`
  return {
    hash: password => limit.run(() => hash(password, { type: argon2id, ...cost }), { line: 'known' }),
    async isRight (password, stored, { isKnown = true } = {}) {
      const digest = stored !== undefined && isPasswordLength(password) ? stored : nobodysHash
      return limit.run(async () => {
        try {
          return await verify(digest, password.slice(0, passwordLength.max))
        } catch {
          // The stored text is no argon2 hash, as for a user who may not sign in by password. No password matches it.
          return false
        }
      }, { line: isKnown ? 'known' : 'unknown' })
    }
  }
}

const base64 = (length: number): string => randomBytes(length).toString('base64').replaceAll('=', '')
