// Serves Lightship's /health, /live and /ready on their own port. The kernel decides what they answer; nothing here
// ends the process.

import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLightship } from 'lightship'
import type { Log } from '../../contract/index.ts'
import { createConnectionLimit } from './connection-limit.ts'

export interface Probes {
  readonly port: number
  ready (): void
  /**
   * Makes /ready and /health answer 500. `reason` is called for each request; its text follows from the second line on.
   */
  notReady (reason: () => string): void
  /**
   * Adds these lines to the answer of /health, after the first line and the reason. `lines` is called for each request.
   */
  remark (lines: () => string | readonly string[]): void
  close (): Promise<void>
}

/**
 * Limit for all connections to the port together: from the kubelet, from metrics collectors and from any other client
 * that reaches it.
 */
export const probeConnectionsMax = 32

/** The probes could not listen on their port. */
export class ProbesNotOpened extends Error {
  readonly code = 'BULKHEAD_PROBES_NOT_OPENED'

  constructor (port: number, cause: NodeJS.ErrnoException) {
    const why = cause.code === 'EADDRINUSE' ? 'another process listens there' : cause.message
    super(`The probes did not get port ${port}: ${why}. Set LIGHTSHIP_PORT to a free one.`, { cause })
    this.name = 'ProbesNotOpened'
  }
}

/** The host is alive at once, and not ready with the reason "starting" until `ready()`. Port 0 takes a free port. */
export async function openProbes ({ port, log }: { port: number, log: Log }): Promise<Probes> {
  // Lightship's own shutdown is never started: the kernel stops the host, and liveness stays green until the process
  // has exited.
  const lightship = await createLightship({
    port,
    signals: [],
    detectKubernetes: false,
    shutdownDelay: 0,
    shutdownHandlerTimeout: 0,
    gracefulShutdownTimeout: 0,
    terminate: () => log.error('lightship asked to end the process; the host ignores this, because it ends the process itself')
  }).catch((cause: unknown) => { throw new ProbesNotOpened(port, cause as NodeJS.ErrnoException) })
  const { server } = lightship
  const connections = createConnectionLimit({ max: probeConnectionsMax, port: 'the probes', log })
  connections.watch(server)
  let reason = (): string => 'starting'
  const remarks: (() => string | readonly string[])[] = []

  // Lightship's bodies are fixed words. Answers that need a reason or remarks are therefore written here: Lightship's
  // word first, then the lines.
  const answer = server.listeners('request') as ((request: IncomingMessage, response: ServerResponse) => void)[]
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    connections.begin(request.socket)
    response.on('close', () => connections.end(request.socket))
    const [, path] = /^\/(ready|health)(?:\?|$)/.exec(request.url ?? '') ?? []
    const isReady = lightship.isServerReady()
    const lines = path === 'health' ? remarks.flatMap(remark => remark()) : []
    const say = (status: number, text: string): void => {
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(text)
    }
    if (path !== undefined && !isReady) say(500, ['SERVER_IS_NOT_READY', reason(), ...lines, ''].join('\n'))
    else if (lines.length > 0) say(200, `SERVER_IS_READY\n${lines.join('\n')}\n`)
    else for (const listener of answer) listener.call(server, request, response)
  })

  return {
    port: (server.address() as AddressInfo).port,
    ready: () => lightship.signalReady(),
    notReady: why => {
      reason = why
      if (lightship.isServerReady()) lightship.signalNotReady()
    },
    remark: lines => { remarks.push(lines) },
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}
