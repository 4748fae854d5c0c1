// One HTTP room on a free port with one plugin "notes", for tests: real sockets, and the log kept in memory.

import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Middleware } from 'koa'
import type { Clock, Handler, Log, Method, RouteOptions, User } from '../../core/contract/index.ts'
import type { RouteRecord } from '../../core/handover/route-record.ts'
import { createHttp } from '../../core/http/index.ts'
import type { Authenticate, Http, HttpSettings, Listening, NoteRefused, PermissionsIn, Plugin } from '../../core/http/index.ts'

export interface Line extends Record<string, unknown> { level: string, message: string }

export type Refusal = Parameters<NoteRefused>[1] & { by: string | undefined }

export interface Running {
  http: Http
  listening: Listening
  url: string
  lines: Line[]
  /** Noted for the audit log. */
  refusals: Refusal[]
  fetch (path: string, init?: RequestInit): Promise<Response>
}

export const clock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal })
}

export const readerToken = 'plat_reader'
export const writerToken = 'plat_writer'
export const asReader = { authorization: `Bearer ${readerToken}` }
export const asWriter = { authorization: `Bearer ${writerToken}` }

const userWith = (name: string, ...permissions: string[]): User => ({
  id: name, name, displayName: null, email: `${name}@example.org`, permissions: new Set(permissions),
  signedInBy: { kind: 'session', id: '1', expiresAt: '2030-01-01T00:00:00.000Z' }
})
const users = new Map([[readerToken, userWith('reader', 'note:read')], [writerToken, userWith('writer', 'note:read', 'note:write')]])

export const settings: HttpSettings = {
  bodyLimitBytes: 10 * 1024 * 1024, trustProxyHops: 0, secureCookies: false, corsOrigins: [], requestTimeoutMs: 10_000
}

export interface StartOptions {
  settings?: Partial<HttpSettings>
  authenticate?: Authenticate
  permissionsIn?: PermissionsIn
  middleware?: Middleware[]
}

export async function startHttp (t: TestContext, routes: readonly RouteRecord[], options: StartOptions = {}): Promise<Running> {
  const { log, lines } = createMemoryLog()
  const refusals: Refusal[] = []
  const http = createHttp({
    log,
    clock,
    authenticate: options.authenticate ?? (token => users.get(token)),
    permissionsIn: options.permissionsIn ?? (user => user.permissions),
    noteRefused: (user, facts) => { refusals.push({ by: user?.name, ...facts }) },
    settings: { ...settings, ...options.settings }
  })
  http.mount(plugin('notes', routes, { log, middleware: options.middleware ?? [] }))
  const listening = await http.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => listening.close())
  return { http, listening, url: listening.url, lines, refusals, fetch: (path, init) => fetch(`${listening.url}${path}`, init) }
}

export function plugin (id: string, routes: readonly RouteRecord[], rest: Partial<Plugin> = {}): Plugin {
  return { id, mounts: [id], routes, middleware: [], log: createMemoryLog().log, ...rest }
}

/** Typed as the contract has it, so that a handler in a test sees what a plugin's would. */
export function route<const O extends RouteOptions> (method: Method, path: string, options: O, handler: Handler<O>, mount = 'notes'): RouteRecord {
  return { plugin: mount, mount, method, path, options, handler }
}

export const anyone = { public: 'a test asks' } as const

export function createMemoryLog (): { log: Log, lines: Line[] } {
  const lines: Line[] = []
  const createLog = (bound: object): Log => {
    const write = (level: string) => (facts: object | string, message?: string): void => {
      lines.push({ ...bound, ...typeof facts === 'string' ? { message: facts } : { ...facts, message: message ?? '' }, level })
    }
    return {
      trace: write('trace'), debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), fatal: write('fatal'),
      child: facts => createLog({ ...bound, ...facts })
    }
  }
  return { log: createLog({}), lines }
}

/** Sends bytes as they are and gives back all that came until the server closed, or until `enough` says so. */
export function sendRaw ({ listening }: Running, bytes: string | Uint8Array, enough: (text: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(listening.address.port, listening.address.host, () => socket.write(bytes))
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => { text += chunk; if (enough(text)) socket.destroy() })
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
  })
}

/** Resolves once `holds` is true; fails after a minute. */
export async function until (holds: () => boolean): Promise<void> {
  const latest = Date.now() + 60_000
  while (!holds()) {
    if (Date.now() > latest) throw new Error('it did not come to pass within a minute')
    await sleep(5)
  }
}
