// Recognises errors that a database, or the way to it, gives for a while: a switch to another server, a restart, too many
// connections, a conflict between replicas that start at the same time.

import { DeadlinePassed } from '../../concurrency/deadline.ts'
import { ServiceUnavailable } from '../../contract/index.ts'

/**
 * The codes mean, in this order: connection error; the transaction lost against another; the server is read-only; out
 * of connections, memory or disk; shutdown or start of the server; the same for the ways to it.
 */
const passing = /^(08...|40...|25006|53...|57P..|ECONN\w+|ETIMEDOUT|EPIPE|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/
/** Two sessions changed the same entry of the catalogue; Postgres has no code of its own for this. */
const catalogueConflict = /^tuple concurrently (updated|deleted)$/
/** The client library gives these errors no code. */
const lostConnection = /^Connection terminated|^Client has encountered a connection error|^timeout exceeded when trying to connect$/

export const isPassingError = (error: unknown): boolean => reasonsOf(error).some(reason => {
  if (reason instanceof ServiceUnavailable || reason instanceof DeadlinePassed) return true
  const { message, code } = reason as Error & { readonly code?: unknown }
  return passing.test(String(code)) || catalogueConflict.test(message) || lostConnection.test(message)
})

/** Lists the error and all its causes, the deepest last. */
export function reasonsOf (error: unknown): readonly Error[] {
  const reasons: Error[] = []
  const add = (thrown: unknown): void => {
    if (!Error.isError(thrown) || reasons.includes(thrown)) return
    reasons.push(thrown)
    if (thrown instanceof AggregateError) thrown.errors.forEach(add)
    add(thrown.cause)
  }
  add(error)
  return reasons
}
