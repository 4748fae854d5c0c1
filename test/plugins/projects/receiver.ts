// A real HTTP server that takes what webhooks send, and answers as it is told.

import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { undo } from '../../support/undo.ts'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly atMs: number
}

export interface Receiver {
  readonly url: string
  /** What has come to a path, in order. */
  at (path: string): Received[]
  /** How a path answers from now on: with a status, or as the function does. 204 unless said. */
  answer (path: string, how: number | ((response: ServerResponse, count: number) => void)): void
}

export async function openReceiver (t: TestContext): Promise<Receiver> {
  const received: Received[] = []
  const answers = new Map<string, number | ((response: ServerResponse, count: number) => void)>()
  const at: Receiver['at'] = path => received.filter(one => one.path === path)
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const path = request.url ?? ''
      received.push({ path, headers: request.headers, body: Buffer.concat(chunks).toString(), atMs: Date.now() })
      const how = answers.get(path) ?? 204
      if (typeof how === 'number') response.writeHead(how).end()
      else how(response, at(path).length)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  undo(t, () => new Promise(resolve => { server.close(resolve); server.closeAllConnections() }))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, at, answer: (path, how) => { answers.set(path, how) } }
}
