// A TCP proxy in front of a real server, to break the network between it and the host: silence (a partition), resets, a gone listener.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'

export interface Proxy {
  readonly port: number
  /** Nothing passes any more, and nobody is told: connections stay open, new ones are accepted and hear nothing. */
  hold (): void
  /** What was held back goes on. */
  pass (): void
  /** Ends every connection with a reset; new ones pass. */
  reset (): void
  /** Ends every connection with a reset, and takes no new one. */
  refuse (): Promise<void>
  /** Takes connections again, on the same port. */
  accept (): Promise<void>
  /** Leads new connections to another port; open ones stay where they are. */
  leadTo (port: number): void
  /** How much the server has sent through here. */
  receivedBytes (): number
}

/** Abruptly. One that has said its end already cannot be reset: Node would keep its handle, and spin on it. */
function cut (socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

/** Passes everything to `port` on the loopback address until told otherwise; ends with the test. */
export async function startProxy (t: TestContext, port: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let isHolding = false
  let receivedBytes = 0
  let farPort = port
  // An orderly end goes through with the data; an abrupt one is passed on as what it is.
  const join = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.pipe(to)
    from.on('error', () => cut(to))
    from.on('close', () => sockets.delete(from))
    if (isHolding) from.pause()
  }
  const server = createServer(near => {
    const far = connect(farPort, '127.0.0.1')
    join(near, far)
    join(far, near)
    far.on('data', chunk => { receivedBytes += chunk.length })
    if (isHolding) far.pause()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const reset = (): void => { for (const socket of sockets) cut(socket) }
  const refuse = async (): Promise<void> => {
    if (!server.listening) return
    server.close()
    reset()
    await once(server, 'close')
  }
  t.after(refuse)
  const { port: ownPort } = server.address() as AddressInfo
  const accept = async (): Promise<void> => {
    isHolding = false
    server.listen(ownPort, '127.0.0.1')
    await once(server, 'listening')
  }
  return {
    port: ownPort,
    hold: () => {
      isHolding = true
      for (const socket of sockets) socket.pause()
    },
    pass: () => {
      isHolding = false
      for (const socket of sockets) socket.resume()
    },
    reset,
    refuse,
    accept,
    leadTo: next => { farPort = next },
    receivedBytes: () => receivedBytes
  }
}
