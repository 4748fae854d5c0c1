// Creates the database handles of the host and of each plugin: queries and transactions pass the gate and run in
// sessions of the owner.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Postgres } from '../../contract/index.ts'
import type { Pulse } from '../pulse.ts'
import type { Entrance, Terms } from './connection-gate.ts'
import { toAnswerable } from './postgres-error.ts'
import type { CommonQueryMethods, SessionPool } from './postgres-pool.ts'
import { createQueries, runTransaction } from './postgres-transaction.ts'

export interface HandleParts {
  readonly entrance: Entrance
  readonly openPool: () => SessionPool | Promise<SessionPool>
  /** True for the host, whose calls are not counted by user. */
  readonly isHost: boolean
}

/** `findUser` names the user on whose behalf the running code was called. */
export function createHandles (pulse: Pulse, findUser: () => string | undefined): (parts: HandleParts) => Postgres {
  const inside = new AsyncLocalStorage<{ hasEnded: boolean }>()

  return ({ entrance, openPool, isHost }) => {
    // A second connection for a transaction that already holds one can bring a busy pool to a standstill, and it would
    // not see what the first one wrote.
    const run = async <T>(work: (connection: CommonQueryMethods) => Promise<T>, terms: Terms): Promise<T> => {
      if (inside.getStore()?.hasEnded === false) throw new Error('Inside transaction() use the tx it gives, not postgres.')
      pulse.begin()
      try {
        return await entrance.run(async () => {
          const pool = openPool()
          return (pool instanceof Promise ? await pool : pool).run(work)
        }, terms)
      } catch (error) {
        throw toAnswerable(error)
      } finally {
        pulse.end()
      }
    }
    const short: Terms = { isLong: false }
    const long: Terms = { isLong: true }
    const termsOf = (terms: Terms): Terms => {
      const user = isHost ? undefined : findUser()
      return user === undefined ? terms : { ...terms, user }
    }
    return {
      ...createQueries(ask => run(ask, termsOf(short))),
      transaction: work => run(async connection => {
        const transaction = { hasEnded: false }
        try {
          return await inside.run(transaction, () => runTransaction(connection, work))
        } finally {
          transaction.hasEnded = true
        }
      }, termsOf(long))
    }
  }
}
