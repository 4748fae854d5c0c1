// The host's own HTTP room with generated plugins of five routes: authenticated, authorised and validated, input and answer, each handler run
// as code of its plugin and what it makes counted.

import { z } from '../../core/contract/index.ts'
import type { Handler, Log, RouteOptions, User } from '../../core/contract/index.ts'
import type { RouteRecord } from '../../core/handover/route-record.ts'
import { createHttp } from '../../core/http/index.ts'
import { trackLeaks } from '../../core/plugin-runtime/index.ts'
import { OwnedResources } from '../../core/plugin-runtime/ownership/owned-resources.ts'
import { bindTo } from '../../core/plugin-runtime/ownership/owner.ts'
import { announce, note, pluginCount, token } from './peer.ts'

const nothing = (): void => undefined
const log: Log = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: console.error, fatal: console.error, child: () => log }
const user: User = {
  id: '1', name: 'bench', displayName: null, email: 'bench@example.org', permissions: new Set(['note:read', 'note:write']),
  signedInBy: { kind: 'session', id: '1', expiresAt: '2030-01-01T00:00:00.000Z' }
}
const users = new Map([[token, user]])
const http = createHttp({
  log,
  clock: { now: () => Date.now(), sleep: async () => undefined },
  authenticate: given => users.get(given),
  permissionsIn: () => new Set(),
  noteRefused: nothing,
  settings: { bodyLimitBytes: 10 * 1024 * 1024, trustProxyHops: 0, secureCookies: false, corsOrigins: [], requestTimeoutMs: 30_000 }
})

function routesOf (id: string): RouteRecord[] {
  const Note = z.object({ id: z.uuid(), title: z.string(), text: z.string(), createdAt: z.iso.datetime() })
  const NewNote = z.object({ title: z.string(), text: z.string() })
  const params = z.object({ id: z.uuid() })
  const query = z.object({ limit: z.coerce.number().max(100).default(50) })
  const read = { permission: 'note:read' }
  const owner = { plugin: id, generation: 1, account: new OwnedResources() }
  const write = { permission: 'note:write' }
  const route = (method: RouteRecord['method'], path: string, options: RouteOptions, handler: Handler<RouteOptions>): RouteRecord =>
    ({ plugin: id, mount: id, method, path, options, handler: bindTo(owner, handler) })
  return [
    route('get', '/', { ...read, query, returns: z.array(Note) }, () => [note]),
    route('post', '/', { ...write, body: NewNote, returns: Note, status: 201 }, () => note),
    route('get', '/:id', { ...read, params, returns: Note }, async () => note),
    route('patch', '/:id', { ...write, params, body: NewNote.partial(), returns: Note }, () => note),
    route('delete', '/:id', { ...write, params }, () => undefined)
  ]
}

trackLeaks()
for (let at = 0; at < pluginCount; at++) {
  const id = `plugin-${at}`
  http.mount({ id, mounts: [id], routes: routesOf(id), middleware: [], log })
}
announce((await http.listen({ host: '127.0.0.1', port: 0 })).address.port)
