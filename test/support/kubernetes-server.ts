// The Kubernetes API for tests: the one TEST_KUBECONFIG names, else a stand-in; always the stand-in for what no real one does on demand.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createCertificate } from './certificate.ts'
import { temporaryFolder } from './host.ts'

/** How the stand-in answers the next requests. */
export type Fault = 'none' | 'silence' | 'reset' | 'cut' | 'garbage' | { status: number, headers?: Record<string, string> }

export interface StandIn {
  readonly kubeconfig: string
  /** The PEM text of what signs its certificate. */
  readonly authority: string
  readonly port: number
  readonly token: string
  fault: Fault
  readonly connections: number
  /** Requests whose client went away before the answer. */
  readonly cancelled: number
}

interface KubernetesObject { metadata: { name?: string, namespace?: string, uid?: string } }

/** The path of a kubeconfig, with all rights, for the server the tests are to run on. */
export async function findCluster (t: TestContext): Promise<string> {
  const given = process.env.TEST_KUBECONFIG
  t.diagnostic(given === undefined ? 'on the stand-in: TEST_KUBECONFIG names no Kubernetes API' : `on the Kubernetes API of ${given}`)
  return given ?? (await startStandIn(t)).kubeconfig
}

/** A copy of a kubeconfig with other words in it. */
export async function changeKubeconfig (t: TestContext, kubeconfig: string, change: (text: string) => string): Promise<string> {
  const path = join(await temporaryFolder(t), 'kubeconfig')
  await writeFile(path, change(readFileSync(kubeconfig, 'utf8')))
  return path
}

/** Answers for namespaces and config maps, checks the token, lets the impersonated user `nobody` do nothing. */
export async function startStandIn (t: TestContext): Promise<StandIn> {
  const { key, cert } = createCertificate()
  const token = randomUUID()
  const objects = new Map<string, KubernetesObject>()
  const state = { fault: 'none' as Fault, connections: 0, cancelled: 0 }

  const server = createServer({ key, cert }, (request, response) => {
    response.on('close', () => { if (!response.writableFinished) state.cancelled++ })
    answer(request, response, token, objects, state.fault)
  })
  server.on('secureConnection', () => { state.connections++ })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => { server.close(); server.closeAllConnections() })

  const { port } = server.address() as AddressInfo
  const kubeconfig = join(await temporaryFolder(t), 'kubeconfig')
  await writeFile(kubeconfig, `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:${port}", certificate-authority-data: ${Buffer.from(cert).toString('base64')}}}]
users: [{name: admin, user: {token: ${token}}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`)
  return Object.assign(state, { kubeconfig, authority: cert, port, token })
}

function answer (
  request: IncomingMessage, response: ServerResponse, token: string, objects: Map<string, KubernetesObject>, fault: Fault
): void {
  const { method, headers } = request
  const { pathname } = new URL(request.url ?? '/', 'https://stand-in')
  const send = (status: number, body: object, more: Record<string, string> = {}): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...more }).end(JSON.stringify(body))
  }
  const fail = (code: number, reason: string, more?: Record<string, string>): void =>
    send(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code }, more)

  if (fault === 'silence') return
  if (fault === 'reset') return void request.socket.destroy()
  if (fault === 'cut') return void response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 }).write('{', () => request.socket.destroy())
  if (fault === 'garbage') return void response.writeHead(200, { 'content-type': 'application/json' }).end('<html>')
  if (fault !== 'none') return fail(fault.status, 'Asked', fault.headers)
  if (headers.authorization !== `Bearer ${token}`) return fail(401, 'Unauthorized')
  if (pathname === '/version') return send(200, { major: '1', minor: '0', gitVersion: 'v1.0.0-stand-in' })
  if (headers['impersonate-user'] === 'nobody') return fail(403, 'Forbidden')

  const path = /^\/api\/v1\/namespaces(?:\/([^/]+)\/configmaps)?(?:\/([^/]+))?$/.exec(pathname)
  if (path === null) return fail(404, 'NotFound')
  const [, namespace = '', name] = path
  const keyOf = (name: string): string => `${namespace}/${name}`
  const found = name === undefined ? undefined : objects.get(keyOf(name))
  if (method === 'POST') {
    let text = ''
    request.on('data', (chunk: Buffer) => { text += chunk.toString() })
    request.on('end', () => {
      const object = JSON.parse(text) as KubernetesObject
      const own = keyOf(object.metadata.name ?? '')
      if (objects.has(own)) return fail(409, 'AlreadyExists')
      objects.set(own, { ...object, metadata: { ...object.metadata, namespace, uid: randomUUID() } })
      send(201, objects.get(own) ?? {})
    })
    return
  }
  if (name === undefined) return send(200, { kind: 'List', items: [...objects].filter(([own]) => own.startsWith(`${namespace}/`)).map(([, object]) => object) })
  if (found === undefined) return fail(404, 'NotFound')
  if (method === 'DELETE') objects.delete(keyOf(name))
  send(200, found)
}
