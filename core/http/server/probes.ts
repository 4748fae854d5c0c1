// Lightship's /health, /live and /ready on their own port. The kernel decides what they say; nothing here ends the process.

import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLightship } from 'lightship'
import type { Log } from '../../contract/index.ts'
import { createConnectionLimit } from './connection-limit.ts'

export interface Probes {
  readonly port: number
  ready (): void
  /** From now on /ready and /health answer 500 with what `reason` gives when they are asked, from the second line on. */
  notReady (reason: () => string): void
  /** While it is ready /health tells these lines too, from the second line on; asked each time. */
  remark (lines: () => readonly string[]): void
  close (): Promise<void>
}

/** Of the kubelet, of those that collect metrics, and of anybody else who reaches the port. */
export const probeConnectionsMax = 32

/** A port that cannot be had. */
export class ProbesNotOpened extends Error {
  readonly code = 'BULKHEAD_PROBES_NOT_OPENED'

  constructor (port: number, cause: NodeJS.ErrnoException) {
    const why = cause.code === 'EADDRINUSE' ? 'another process listens there' : cause.message
    super(`The probes did not get port ${port}: ${why}. Set LIGHTSHIP_PORT to a free one.`, { cause })
    this.name = 'ProbesNotOpened'
  }
}

/** Alive at once; not ready, because it starts, until `ready()`. Port 0 takes a free one. */
export async function openProbes ({ port, log }: { port: number, log: Log }): Promise<Probes> {
  // Lightship's own shutdown is never begun: stopping is the kernel's, and liveness stays green until the process is gone.
  const lightship = await createLightship({
    port,
    signals: [],
    detectKubernetes: false,
    shutdownDelay: 0,
    shutdownHandlerTimeout: 0,
    gracefulShutdownTimeout: 0,
    terminate: () => log.error('lightship asked for the end of the process, which is not its to end')
  }).catch((cause: unknown) => { throw new ProbesNotOpened(port, cause as NodeJS.ErrnoException) })
  const { server } = lightship
  const connections = createConnectionLimit({ max: probeConnectionsMax, port: 'the probes', log })
  connections.watch(server)
  let reason = (): string => 'starting'
  let remarks = (): readonly string[] => []

  // Lightship's bodies are fixed words, so those that say no are answered here, with its word and then the reason.
  const answer = server.listeners('request') as ((request: IncomingMessage, response: ServerResponse) => void)[]
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    connections.begin(request.socket)
    response.on('close', () => connections.end(request.socket))
    const [, path] = /^\/(ready|health)(?:\?|$)/.exec(request.url ?? '') ?? []
    const isReady = lightship.isServerReady()
    const lines = isReady && path === 'health' ? remarks() : []
    const say = (status: number, text: string): void => {
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(text)
    }
    if (path !== undefined && !isReady) say(500, `SERVER_IS_NOT_READY\n${reason()}\n`)
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
    remark: lines => { remarks = lines },
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}
