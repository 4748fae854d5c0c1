// Answers requests that Node's parser cannot read in the form of every other refusal: with a request id, the usual
// headers and a fix.

import { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { AnswerableError, BadRequest } from '../../contract/index.ts'
import type { Fail } from '../answer/failure.ts'
import type { Exchange, Traffic } from '../exchange.ts'
import type { ConnectionLimit } from './connection-limit.ts'
import { IncomingRequest } from './incoming-request.ts'

class HeadTooLarge extends AnswerableError {
  readonly status = 431
  readonly code = 'BULKHEAD_HEAD_TOO_LARGE'
  readonly title = 'Request header fields too large'
}

class RequestTimeout extends AnswerableError {
  readonly status = 408
  readonly code = 'BULKHEAD_REQUEST_TIMEOUT'
  readonly title = 'Request timeout'
}

export interface UnreadableRequestDeps {
  traffic: Pick<Traffic, 'open' | 'underWay'>
  connections: Pick<ConnectionLimit, 'underWay'>
  fail: Fail
  maxHeadBytes: number
}

/**
 * Creates a listener for the server's `clientError`. The connection ends with the answer, because the start of the next
 * request is unknown.
 */
export function createUnreadableRequestListener ({ traffic, connections, fail, maxHeadBytes }: UnreadableRequestDeps) {
  const refusalOf = ({ code, reason }: NodeJS.ErrnoException & { reason?: string }): AnswerableError => {
    if (code === 'HPE_HEADER_OVERFLOW') return new HeadTooLarge(`The first line and the headers together are larger than ${maxHeadBytes} bytes. Send fewer or shorter ones.`)
    if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new RequestTimeout('The request did not arrive in time. Send it again.')
    return new BadRequest(`This is not an HTTP/1.1 request${reason === undefined ? '' : `: ${reason}`}.`)
  }

  const open = (socket: Socket): Exchange => {
    const req = new IncomingRequest(socket)
    const res = new ServerResponse(req)
    res.assignSocket(socket)
    return traffic.open(req, res)
  }

  return (error: NodeJS.ErrnoException, stream: Duplex): void => {
    const socket = stream as Socket
    if (!socket.writable) { socket.destroy(error); return }
    // The oldest request under way on the connection is the one that is answered next.
    const exchange = connections.underWay(socket) > 0 ? [...traffic.underWay].find(({ req }) => req.socket === socket) : open(socket)
    if (exchange === undefined || exchange.res.headersSent) { socket.destroy(error); return }
    const { req, res } = exchange
    // Nothing more is read from the request.
    req.complete = true
    res.shouldKeepAlive = false
    res.once('finish', () => { socket.destroySoon() })
    fail(exchange, refusalOf(error))
  }
}
