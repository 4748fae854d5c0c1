// Runs a transaction as a plugin sees it: one query at a time, no query after its end, errors from the error catalogue.

import type { Transaction } from '../../contract/index.ts'
import { isRetried, toAnswerable } from './postgres-error.ts'
import type { CommonQueryMethods } from './postgres-pool.ts'

const queryMethods = ['any', 'anyFirst', 'exists', 'many', 'manyFirst', 'maybeOne', 'maybeOneFirst', 'one', 'oneFirst', 'query'] as const
export type Queries = Pick<CommonQueryMethods, (typeof queryMethods)[number]>
export type Ask = (connection: CommonQueryMethods) => Promise<unknown>

/** Creates slonik's query methods; each passes its query to `run`. */
export const createQueries = (run: (ask: Ask) => Promise<unknown>): Queries =>
  Object.fromEntries(queryMethods.map(method => [method, (query: never) => run(connection => connection[method](query))])) as unknown as Queries

/** Runs `work` in a transaction on `connection`, or in a savepoint when that is a transaction itself. */
export function runTransaction<T> (connection: CommonQueryMethods, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return connection.transaction(async slonikTransaction => {
    const { tx, end } = createTransaction(slonikTransaction)
    try {
      return await work(tx)
    } finally {
      await end()
    }
  })
}

// When several queries are requested at the same time, slonik sends the waiting ones even after the first has failed
// and the rollback is on its way. They would run after the rollback, outside any transaction, and their changes would
// stay. They therefore wait here, and are refused once the transaction has ended.
function createTransaction (connection: CommonQueryMethods): { tx: Transaction, end: () => Promise<void> } {
  let hasEnded = false
  let isNested = false
  let last: Promise<unknown> = Promise.resolve()

  const refuse = (): void => {
    if (hasEnded) throw new Error('This transaction has ended: await every query before its work returns.')
    if (isNested) throw new Error('A transaction inside this one is at work: use the tx that it was given.')
  }
  const run = async (ask: Ask): Promise<unknown> => {
    refuse()
    const turn = last.then(() => {
      refuse()
      return ask(connection)
    })
    last = turn.catch(() => { /* The caller of the query gets the error. */ })
    try {
      return await turn
    } catch (error) {
      throw isRetried(error) ? error : toAnswerable(error)
    }
  }
  const nest = async <T>(work: (tx: Transaction) => Promise<T>): Promise<T> => {
    isNested = true
    try {
      return await runTransaction(connection, work)
    } finally {
      isNested = false
    }
  }
  return {
    tx: { ...createQueries(run), transaction: async <T>(work: (tx: Transaction) => Promise<T>) => await run(() => nest(work)) as T },
    end: async () => {
      hasEnded = true
      await last
    }
  }
}
