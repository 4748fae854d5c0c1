// Sends an answer: the headers that every one has, JSON in one write, and problems.

import type { Exchange } from './exchange.ts'
import type { Problem } from './problem.ts'

/** For answers that others write; a handler's own `Cache-Control` stays. */
export function setOwnHeaders ({ res, requestId }: Exchange): void {
  if (res.headersSent) return
  res.setHeader('X-Request-Id', requestId)
  res.setHeader('X-Content-Type-Options', 'nosniff')
  if (!res.hasHeader('Cache-Control')) res.setHeader('Cache-Control', 'no-store')
}

export function sendJson (exchange: Exchange, status: number, text: string): void {
  const { res, requestId } = exchange
  if (res.getHeaderNames().length > 0) {
    setOwnHeaders(exchange)
    res.setHeader('Content-Type', 'application/json; charset=utf-8')
    res.setHeader('Content-Length', Buffer.byteLength(text))
    res.writeHead(status).end(text)
    return
  }
  res.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'X-Request-Id': requestId,
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store'
  }).end(text)
}

export function sendEmpty (exchange: Exchange, status: number, headers: Record<string, string>): void {
  setOwnHeaders(exchange)
  exchange.res.writeHead(status, headers).end()
}

/** What a handler had set for a success does not go out with a refusal, what the browser needs to read it does. */
export function sendProblem (exchange: Exchange, { status, headers, body }: Problem): void {
  const { res } = exchange
  for (const name of res.getHeaderNames()) {
    if (name !== 'vary' && !name.startsWith('access-control-')) res.removeHeader(name)
  }
  setOwnHeaders(exchange)
  const text = JSON.stringify(body)
  // An earlier `ctx.status` may have left its phrase.
  res.statusMessage = ''
  res.writeHead(status, { 'Content-Type': 'application/problem+json', 'Content-Length': Buffer.byteLength(text), ...headers }).end(text)
}
