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
import { Store } from './kubernetes-store.ts'
import type { Selects, StoredObject } from './kubernetes-store.ts'
import { undo } from './undo.ts'

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
  /** Lists and watches asked for so far. */
  readonly lists: number
  readonly watches: number
  /** The paths of the requests so far, as they arrived, without queries. */
  readonly paths: readonly string[]
  readonly store: Store
  /** Ends the watches that are open: in order, with a reset, in the midst of a line, or with the word that their version is gone. */
  endWatches (how: 'end' | 'reset' | 'cut' | 'gone'): void
}

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

/** Answers for namespaces and config maps, in pages of three, checks the token, lets the impersonated user `nobody` do nothing. */
export async function startStandIn (t: TestContext): Promise<StandIn> {
  const { key, cert } = createCertificate()
  const token = randomUUID()
  const state = { fault: 'none' as Fault, connections: 0, cancelled: 0, lists: 0, watches: 0, paths: [] as string[], store: new Store() }
  const watching = new Set<ServerResponse>()

  const server = createServer({ key, cert }, (request, response) => {
    response.on('close', () => { if (!response.writableFinished) state.cancelled++ })
    state.paths.push(request.url?.split('?')[0] ?? '')
    answer(request, response, token, state, watching)
  })
  server.on('secureConnection', () => { state.connections++ })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  undo(t, () => { server.close(); server.closeAllConnections() })

  const { port } = server.address() as AddressInfo
  const kubeconfig = join(await temporaryFolder(t), 'kubeconfig')
  await writeFile(kubeconfig, `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:${port}", certificate-authority-data: ${Buffer.from(cert).toString('base64')}}}]
users: [{name: admin, user: {token: ${token}}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`)
  const endWatches: StandIn['endWatches'] = how => {
    for (const response of watching) {
      if (how === 'gone') response.end(`${JSON.stringify({ type: 'ERROR', object: statusOf(410, 'Expired') })}\n`)
      else if (how === 'end') response.end()
      else if (how === 'cut') response.end('{"type":"ADDED","obj')
      else response.destroy()
    }
  }
  return Object.assign(state, { kubeconfig, authority: cert, port, token, endWatches })
}

const statusOf = (code: number, reason: string): object => ({ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code })

interface State { fault: Fault, lists: number, watches: number, store: Store }

function answer (request: IncomingMessage, response: ServerResponse, token: string, state: State, watching: Set<ServerResponse>): void {
  const { method, headers } = request
  const { fault, store } = state
  const { pathname, searchParams } = new URL(request.url ?? '/', 'https://stand-in')
  const send = (status: number, body: object, more: Record<string, string> = {}): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...more }).end(JSON.stringify(body))
  }
  const fail = (code: number, reason: string, more?: Record<string, string>): void => send(code, statusOf(code, reason), more)

  if (fault === 'silence') return
  if (fault === 'reset') return void request.socket.destroy()
  if (fault === 'cut') return void response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 }).write('{', () => request.socket.destroy())
  if (fault === 'garbage') return void response.writeHead(200, { 'content-type': 'application/json' }).end('<html>')
  if (fault !== 'none') return fail(fault.status, 'Asked', fault.headers)
  if (headers.authorization !== `Bearer ${token}`) return fail(401, 'Unauthorized')
  if (pathname === '/version') return send(200, { major: '1', minor: '0', gitVersion: 'v1.0.0-stand-in' })
  if (headers['impersonate-user'] === 'nobody') return fail(403, 'Forbidden')

  const path = /^\/api\/v1\/(?:namespaces\/([^/]+)\/)?(configmaps|namespaces)(?:\/([^/]+))?$/.exec(pathname)
  if (path === null) return fail(404, 'NotFound')
  const [, namespace, resource = '', name] = path
  const kind = resource === 'configmaps' ? 'ConfigMap' : 'Namespace'
  const keyOf = (name: string): string => `${resource}/${namespace ?? ''}/${name}`
  if (method === 'POST' || method === 'PUT') {
    let text = ''
    request.on('data', (chunk: Buffer) => { text += chunk.toString() })
    request.on('end', () => {
      const object = JSON.parse(text) as StoredObject
      const own = keyOf(object.metadata.name)
      if (method === 'POST' && store.get(own) !== undefined) return fail(409, 'AlreadyExists')
      send(method === 'POST' ? 201 : 200, store.put(own, namespace ?? '', { ...object, apiVersion: 'v1', kind }))
    })
    return
  }
  if (name === undefined) {
    const selects = selectorOf(kind, namespace, searchParams)
    if (searchParams.get('watch') === null) { state.lists++; return sendPage(store, kind, selects, searchParams, send) }
    state.watches++
    return follow(response, store, selects, searchParams, watching)
  }
  const found = store.get(keyOf(name))
  if (found === undefined) return fail(404, 'NotFound')
  if (method === 'DELETE') store.remove(keyOf(name))
  send(200, found)
}

function selectorOf (kind: string, namespace: string | undefined, query: URLSearchParams): Selects {
  const [label = '', value] = query.get('labelSelector')?.split('=') ?? []
  const name = query.get('fieldSelector')?.replace('metadata.name=', '')
  return ({ kind: own, metadata }) => own === kind && (namespace === undefined || metadata.namespace === namespace) &&
    (value === undefined || metadata.labels?.[label] === value) && (name === undefined || metadata.name === name)
}

const pageMax = 3

function sendPage (store: Store, kind: string, selects: Selects, query: URLSearchParams, send: (status: number, body: object) => void): void {
  const all = store.list(selects)
  const from = Number(query.get('continue') ?? 0)
  const to = query.has('limit') ? Math.min(from + pageMax, all.length) : all.length
  send(200, {
    kind: `${kind}List`,
    apiVersion: 'v1',
    metadata: { resourceVersion: String(store.version), ...to < all.length && { continue: String(to) } },
    // As a real one, which says only of the list what they are.
    items: all.slice(from, to).map(object => ({ ...object, kind: undefined, apiVersion: undefined }))
  })
}

function follow (response: ServerResponse, store: Store, selects: Selects, query: URLSearchParams, watching: Set<ServerResponse>): void {
  response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
  const write = (event: object): void => { response.write(`${JSON.stringify(event)}\n`) }
  const leave = store.watch(Number(query.get('resourceVersion')), selects, ({ type, object }) => write({ type, object }))
  if (leave === undefined) return void response.end(`${JSON.stringify({ type: 'ERROR', object: statusOf(410, 'Expired') })}\n`)
  watching.add(response)
  const bookmark = setTimeout(() => {
    write({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(store.version) } } })
    response.end()
  }, Number(query.get('timeoutSeconds')) * 1_000)
  response.on('close', () => { clearTimeout(bookmark); watching.delete(response); leave() })
}
