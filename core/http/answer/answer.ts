// Sends answers: JSON in one write, empty answers and problems, each with the headers that every answer has.

import { endBesideUnreadBody, leaveLongBody } from '../body/unread-body.ts'
import type { Exchange } from '../exchange.ts'
import type { Problem } from './problem-details.ts'
import type { SecurityHeaders } from './browser-headers.ts'

export interface Answering {
  /** Sets the common headers on an answer that koa or the handler writes. Headers that the handler has set stay. */
  setOwnHeaders (exchange: Exchange): void
  sendJson (exchange: Exchange, status: number, text: string): void
  sendEmpty (exchange: Exchange, status: number, headers: Record<string, string>): void
  /**
   * Sends a refusal without the headers that the handler had set for a success. `Vary` and the CORS headers stay: the
   * browser needs them.
   */
  sendProblem (exchange: Exchange, problem: Problem): void
}

export function createAnswering (security: SecurityHeaders): Answering {
  const everywhere = [...security, ['Cache-Control', 'no-store']] as const
  // All answers share this list. Each answer is written before the next begins, so only the length and the request id
  // are set again.
  const json: (string | number)[] = ['Content-Length', 0, 'X-Request-Id', '', 'Content-Type', 'application/json; charset=utf-8', ...everywhere.flat()]

  const setOwnHeaders = ({ res, requestId }: Exchange): void => {
    if (res.headersSent) return
    res.setHeader('X-Request-Id', requestId)
    for (const [name, value] of everywhere) if (!res.hasHeader(name)) res.setHeader(name, value)
  }

  return {
    setOwnHeaders,
    sendJson (exchange, status, text) {
      const { res, requestId } = exchange
      const length = Buffer.byteLength(text)
      if (res.getHeaderNames().length > 0) {
        setOwnHeaders(exchange)
        res.setHeader('Content-Type', 'application/json; charset=utf-8')
        res.setHeader('Content-Length', length)
        res.writeHead(status).end(text)
        return
      }
      json[1] = length
      json[3] = requestId
      res.writeHead(status, json).end(text)
    },
    sendEmpty (exchange, status, headers) {
      setOwnHeaders(exchange)
      exchange.res.writeHead(status, headers).end()
    },
    sendProblem (exchange, { status, headers, body }) {
      const { res } = exchange
      for (const name of res.getHeaderNames()) {
        if (name !== 'vary' && !name.startsWith('access-control-')) res.removeHeader(name)
      }
      setOwnHeaders(exchange)
      const text = JSON.stringify(body)
      // An earlier `ctx.status` may have left its reason phrase.
      res.statusMessage = ''
      leaveLongBody(exchange)
      res.writeHead(status, { 'Content-Type': 'application/problem+json', 'Content-Length': Buffer.byteLength(text), ...headers })
      endBesideUnreadBody(exchange, text)
    }
  }
}
