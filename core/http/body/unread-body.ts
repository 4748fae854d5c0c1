// Limits how much of a body is read and dropped after its request was answered. A small rest is dropped and the
// connection is kept; a larger one ends the connection.

import type { Exchange } from '../exchange.ts'

type Sent = Pick<Exchange, 'req' | 'res' | 'isBodyHeldBack'>

const droppedBytesMax = 1024 * 1024
/**
 * Time for a client to notice the answer while it still sends. A connection that is closed earlier may lose the answer
 * on its way.
 */
const lingerMs = 2_000

/**
 * Must be called before anything is answered. A handler that continues to read after its answer must set its own limit.
 */
export function boundUnreadBody (sent: Sent): void {
  const { req, res } = sent
  if (req.headers['transfer-encoding'] === undefined && req.headers['content-length'] === undefined) return
  // The listener runs before Node's own, which would read and drop everything that arrives.
  res.prependOnceListener('finish', () => {
    const isBeingRead = req.listenerCount('data') + req.listenerCount('readable') > 0
    if (!req.complete && res.shouldKeepAlive && !isBeingRead) dropRest(sent, { end: () => undefined, giveUp: () => req.socket.destroy() })
  })
}

/** Ends an answer whose head has been sent. `text` is the whole body of the answer, as long as its Content-Length. */
export function endBesideUnreadBody (sent: Sent, text: string): void {
  const { req, res, isBodyHeldBack } = sent
  if (req.complete || isBodyHeldBack || res.shouldKeepAlive) { res.end(text); return }
  // The client gets the whole answer now; only the end of the connection waits for the rest of the request's body.
  res.write(text)
  const end = (): void => { res.end() }
  dropRest(sent, { end, giveUp: end })
}

/**
 * Asks the client to close the connection when its body is too long to be dropped. Must be called before the head of
 * the answer is sent.
 */
export function leaveLongBody ({ req, res }: Sent): void {
  if (!req.complete && Number(req.headers['content-length'] ?? 0) > droppedBytesMax) res.shouldKeepAlive = false
}

function dropRest ({ req }: Sent, { end, giveUp }: { end: () => void, giveUp: () => void }): void {
  let dropped = 0
  const stop = (): void => {
    clearTimeout(timer)
    req.off('data', count).off('end', onEnd).off('close', onClose)
  }
  const onEnd = (): void => { stop(); end() }
  const onClose = (): void => { stop(); giveUp() }
  const timer = setTimeout(onClose, lingerMs).unref()
  const count = (chunk: Buffer): void => {
    dropped += chunk.length
    // From here on nothing more is read, which slows down a client that does not read the answer.
    if (dropped > droppedBytesMax) req.pause()
  }
  req.on('data', count).on('end', onEnd).on('close', onClose)
  req.resume()
}
