// Answers `Expect: 100-continue` only when the body begins to be read, so that a refused client does not send it. Any
// other expectation gets 417.

import { AnswerableError } from '../../contract/index.ts'
import type { Exchange } from '../exchange.ts'

export class ExpectationFailed extends AnswerableError {
  readonly status = 417
  readonly code = 'BULKHEAD_EXPECTATION_FAILED'
  readonly title = 'Expectation failed'
}

/** Throws `ExpectationFailed`. The header is ignored from a client of HTTP/1.0, which has no expectations. */
export function respectExpectation (exchange: Exchange): void {
  const { req, res } = exchange
  const { expect } = req.headers
  if (expect === undefined || req.httpVersion !== '1.1') return
  exchange.isBodyHeldBack = true
  if (expect.trim().toLowerCase() !== '100-continue') throw new ExpectationFailed('The only supported expectation is 100-continue.')
  // The stream calls `_read` for every reader: for the host, and for a handler that takes the body as a stream.
  const read = req._read
  req._read = size => {
    req._read = read
    exchange.isBodyHeldBack = false
    // A client that already sends does not wait for 100. A client that is already answered would take it for its next
    // answer.
    if (!res.headersSent && req.readableLength === 0) res.writeContinue()
    read.call(req, size)
  }
}
