// A transaction for a handler that begins when the handler first uses it, and ends as the host says.

import { sql } from '../../contract/index.ts'
import type { Postgres, Transaction } from '../../contract/index.ts'

export interface RunTransaction {
  readonly tx: Transaction
  /** Whether a statement has been asked for. */
  readonly isBegun: () => boolean
  /** Takes no further statement. Commits what was done, together with `last`; when that rejects, nothing of it is done. */
  commit (last: (tx: Transaction) => Promise<void>): Promise<void>
  /** Takes no further statement. Resolves once nothing of it is left. */
  rollBack (): Promise<void>
}

/** Of a replica that froze in the middle: its locks are let go about when its work is taken over. */
const letGoWhenIdle = sql.unsafe`set local idle_in_transaction_session_timeout = '15s'`

const methods = ['any', 'anyFirst', 'exists', 'many', 'manyFirst', 'maybeOne', 'maybeOneFirst', 'one', 'oneFirst', 'query', 'transaction'] as const
type Call = (...args: unknown[]) => Promise<unknown>

/** Without a database every use rejects with what to add to the manifest. */
export function createEffect (postgres: Postgres | undefined): RunTransaction {
  const ending = Promise.withResolvers<(tx: Transaction) => Promise<void>>()
  // Whoever waits for the transaction hears of it.
  ending.promise.catch(() => undefined)
  let begun: Promise<Transaction> | undefined
  let done: Promise<void> | undefined
  let isOver = false

  const begin = (database: Postgres): Promise<Transaction> => {
    const { promise, resolve, reject } = Promise.withResolvers<Transaction>()
    let isFirst = true
    done = database.transaction(async tx => {
      // After a conflict the work of a transaction is run again. What the handler did is not, so the second round must not commit.
      if (!isFirst) throw new Error('The transaction of the run lost against another one, and the run has to be made again.')
      isFirst = false
      await tx.query(letGoWhenIdle)
      resolve(tx)
      const last = await ending.promise
      await last(tx)
    })
    done.catch(reject)
    return promise
  }
  const run = async (method: (typeof methods)[number], args: unknown[]): Promise<unknown> => {
    if (postgres === undefined) throw new Error('"tx" needs the database: add "postgres" to "resources" in the manifest.')
    if (isOver) throw new Error('This run has ended: await every statement of "tx" before the handler returns.')
    const tx = await (begun ??= begin(postgres))
    return (tx[method] as Call)(...args)
  }
  const tx = Object.fromEntries(methods.map(method => [method, (...args: unknown[]) => run(method, args)])) as unknown as Transaction

  return {
    tx,
    isBegun: () => begun !== undefined,
    commit: async last => {
      isOver = true
      ending.resolve(last)
      await done
    },
    rollBack: async () => {
      isOver = true
      ending.reject(new RolledBack())
      await done?.catch(() => { /* It is rolled back, for this reason or for one of its own that the handler was told. */ })
    }
  }
}

class RolledBack extends Error {
  override readonly name = 'RolledBack'

  constructor () {
    super('The run did not succeed, so what it did is rolled back.')
  }
}
