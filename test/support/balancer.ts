// A small load balancer: passes each connection to a replica that is ready, and notices late that one no longer is.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'node:test'

export interface Replica { readonly url: string, readonly probesUrl: string }

export interface Balancer {
  readonly url: string
  /** Gets connections from now on, until the balancer has noticed that it is not ready. */
  add (replica: Replica): void
}

const periodMs = 50

/** Connections that are open stay where they are, as behind a Kubernetes service. Ends with the test. */
export async function startBalancer (t: TestContext, { lateMs }: { lateMs: number }): Promise<Balancer> {
  const replicas: Replica[] = []
  const sockets = new Set<Socket>()
  const ending = new AbortController()
  let turn = 0

  const watch = async (replica: Replica): Promise<void> => {
    while (await isStaying(replica)) await sleep(periodMs, undefined, { signal: ending.signal })
    await sleep(lateMs, undefined, { signal: ending.signal })
    replicas.splice(replicas.indexOf(replica), 1)
  }
  const join = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.pipe(to)
    from.on('error', () => to.resetAndDestroy())
    from.on('close', () => sockets.delete(from))
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true }, near => {
    const replica = replicas[turn++ % replicas.length]
    if (replica === undefined) { near.resetAndDestroy(); return }
    const far = connect({ port: Number(new URL(replica.url).port), host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    join(near, far)
    join(far, near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    ending.abort()
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    add: replica => {
      replicas.push(replica)
      watch(replica).catch((error: unknown) => { if (!ending.signal.aborted) throw error })
    }
  }
}

/** Left out is who says it is stopping, or listens no more: on a busy machine a late or broken answer or a failed check says nothing. */
const isStaying = ({ probesUrl }: Replica): Promise<boolean> =>
  fetch(`${probesUrl}/ready`, { signal: AbortSignal.timeout(1_000) }).then(
    async answer => answer.ok || !(await answer.text()).includes('the host is stopping'),
    (error: unknown) => ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code !== 'ECONNREFUSED')
