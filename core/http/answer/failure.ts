// Answers and logs every error that is thrown during a request. No other place does.

import type { Log } from '../../contract/index.ts'
import { asError } from '../../contract/thrown.ts'
import type { Exchange } from '../exchange.ts'
import type { LineBudget } from '../line-budget.ts'
import type { Answering } from './answer.ts'
import { findProblem, hiddenProblem } from './problem-details.ts'
import type { Problem } from './problem-details.ts'
import type { RepeatedFailures } from './repeated-failure.ts'
import type { NoteRefusedValue } from './refused-value.ts'

export type Fail = (exchange: Exchange, thrown: unknown) => void

export interface FailureParts {
  log: Log
  lines: LineBudget
  repeated: RepeatedFailures
  sendProblem: Answering['sendProblem']
  noteRefusal: (exchange: Exchange, problem: Problem) => void
  noteRefusedValue: NoteRefusedValue
}

export function createFailure ({ log, lines, repeated, sendProblem, noteRefusal, noteRefusedValue }: FailureParts): Fail {
  return (exchange, value) => {
    const { res, req, requestId, plugin, route } = exchange
    // Every later step reads this error, so no property of it may throw. An error of the contract stays what it is.
    const err = asError(value)
    const facts = { requestId, plugin: plugin?.id, route: route?.label, method: req.method, err }
    // A handler that throws because its signal aborted has done right, and no client waits for its answer.
    if (exchange.isAbandoned || hasClientGone(exchange)) { log.debug(facts, 'a request failed after its end'); return }

    exchange.abandon(err)
    const problem = findProblem(err, requestId)
    const isTold = exchange.caller !== undefined || (problem !== undefined && problem.status < 500) || lines.take('failed', exchange.place)
    if (!isTold) log.debug(facts, 'a request of an unknown caller failed, as many before it')
    else if (problem === undefined ? !repeated.isFirst(err, exchange.place) : problem.status >= 500 && !repeated.isFirst(err)) {
      log.debug(facts, 'a request failed for a reason that was logged within this second')
    } else if (problem === undefined) log.error(facts, 'a request failed')
    // A 503 before a route matched means that the whole plugin is unavailable, which has been logged already. It is
    // logged at debug only here; the log line "answered" still reports the request.
    else if (problem.status >= 500) log[route === undefined && err.cause === undefined ? 'debug' : 'warn'](facts, 'a request was refused')
    if (problem !== undefined) noteRefusal(exchange, problem)
    if (problem?.status === 422) noteRefusedValue(err, facts)
    // Part of the answer has been sent. Only a broken connection tells the client that the rest will not come.
    if (res.headersSent) { res.destroy(); return }
    sendProblem(exchange, problem ?? hiddenProblem(requestId))
  }
}

function hasClientGone ({ req, res }: Exchange): boolean {
  return !res.writableFinished && (res.destroyed || req.socket.destroyed)
}
