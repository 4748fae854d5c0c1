// Gives a handler a transaction that begins when the handler first uses it; the host commits it or rolls it back after the run.

import { sql } from '../../contract/index.ts'
import type { Postgres, Transaction } from '../../contract/index.ts'

export interface RunTransaction {
  readonly tx: Transaction
  /** Whether the handler has asked for a statement. */
  readonly isBegun: () => boolean
  /** Accepts no further statement. Commits the handler's work together with `last`; when `last` rejects, all of it is rolled back. */
  commit (last: (tx: Transaction) => Promise<void>): Promise<void>
  /** Accepts no further statement. Rolls back, unless it was committed before, and resolves once the transaction has ended. */
  rollBack (): Promise<void>
}

/** Limits how long a frozen replica holds row locks: Postgres ends the transaction after 15 s idle, about when another replica takes over. */
const letGoWhenIdle = sql.unsafe`set local idle_in_transaction_session_timeout = '15s'`

const methods = ['any', 'anyFirst', 'exists', 'many', 'manyFirst', 'maybeOne', 'maybeOneFirst', 'one', 'oneFirst', 'query', 'transaction'] as const
type Call = (...args: unknown[]) => Promise<unknown>

/** Without a database, every use rejects with a message that says what to add to the manifest. */
export function createEffect (postgres: Postgres | undefined): RunTransaction {
  const ending = Promise.withResolvers<(tx: Transaction) => Promise<void>>()
  // The work of the transaction awaits this promise and gets its rejection; before the transaction begins, nothing awaits it.
  ending.promise.catch(() => undefined)
  let begun: Promise<Transaction> | undefined
  let done: Promise<void> | undefined
  let isOver = false

  const begin = (database: Postgres): Promise<Transaction> => {
    const { promise, resolve, reject } = Promise.withResolvers<Transaction>()
    let isFirst = true
    done = database.transaction(async tx => {
      // After a conflict the database handle runs this function again. The handler's statements are not repeated, so a second round must fail.
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
      await done?.catch(() => { /* It is rolled back, for this reason or because of an error that the handler got. */ })
    }
  }
}

class RolledBack extends Error {
  override readonly name = 'RolledBack'

  constructor () {
    super('The run did not succeed, so what it did is rolled back.')
  }
}
