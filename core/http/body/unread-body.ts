// Bounds how much of a body is read and dropped that a client sends after its answer: dropping a little keeps the connection, more than that ends it.

import type { Exchange } from '../exchange.ts'

type Sent = Pick<Exchange, 'req' | 'res' | 'isBodyHeldBack'>

const droppedBytesMax = 1024 * 1024
/** Long enough for a client to find the answer while it sends: a connection that is closed before that may lose the answer on its way. */
const lingerMs = 2_000

/** To be called before anything is answered. A handler that goes on reading after its answer bounds that itself. */
export function boundUnreadBody (sent: Sent): void {
  const { req, res } = sent
  if (req.headers['transfer-encoding'] === undefined && req.headers['content-length'] === undefined) return
  // Before Node's own listener, which would read and drop all that comes.
  res.prependOnceListener('finish', () => {
    const isBeingRead = req.listenerCount('data') + req.listenerCount('readable') > 0
    if (!req.complete && res.shouldKeepAlive && !isBeingRead) dropRest(sent, { end: () => undefined, giveUp: () => req.socket.destroy() })
  })
}

/** Ends an answer whose head is out; `text` is all of its body, as long as its Content-Length. */
export function endBesideUnreadBody (sent: Sent, text: string): void {
  const { req, res, isBodyHeldBack } = sent
  if (req.complete || isBodyHeldBack || res.shouldKeepAlive) { res.end(text); return }
  // The client has the whole answer; only the end of the connection waits for the rest of the body.
  res.write(text)
  const end = (): void => { res.end() }
  dropRest(sent, { end, giveUp: end })
}

/** Asks for the end of the connection where it is known that too much is still to come. To be called before the head of the answer is sent. */
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
    // From here on nothing is read any more, which holds back a client that does not look for the answer.
    if (dropped > droppedBytesMax) req.pause()
  }
  req.on('data', count).on('end', onEnd).on('close', onClose)
  req.resume()
}
