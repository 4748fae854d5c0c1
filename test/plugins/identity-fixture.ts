// The plugin identity over real HTTP on a database of the test's own, as curl and a browser meet it.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createHttp, findRouteProblems } from '../../core/http/index.ts'
import { createContainer, discoverPlugins, loadDefinitions, registerBulkhead } from '../../core/plugin-runtime/index.ts'
import { createScope } from '../../core/plugin-runtime/scope/scope.ts'
import { openHouse } from '../access/fixture.ts'
import type { House } from '../access/fixture.ts'
import host from '../../package.json' with { type: 'json' }
import { noWork, refuse } from '../plugin-runtime/fixture.ts'
import { clock, createLog } from '../support/part.ts'
import { undo } from '../support/undo.ts'

registerBulkhead()

export interface Served {
  readonly house: House
  readonly url: string
}

export async function serve (t: TestContext, { secureCookies = false, trustProxyHops = 1 } = {}): Promise<Served> {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { candidates } = await discoverPlugins({
    paths: [join(import.meta.dirname, '../../plugins')], packages: [], disabled: [], enabled: [], production: true, hostVersion: host.version
  })
  const identity = candidates.filter(({ id }) => id === 'identity')
  const { plugins: [plugin], failures } = await loadDefinitions(identity, { clock, budgetMs: 10_000, corePermissions: [] })
  assert.ok(plugin, JSON.stringify(failures))
  const { candidate, definition } = plugin
  const { scope, registration: { routes, middleware } } = createScope({
    container: createContainer({ access: id => room.accessFor(id) }), candidate, config: {}, log: createLog(), clock, owner: plugin.owner,
    signal: new AbortController().signal, services: new Map(), work: noWork, mayPublish: () => undefined,
    fetch: refuse, undo: () => undefined, onFault: () => undefined
  })
  await definition.start(scope)
  assert.deepEqual(findRouteProblems(routes), [])

  const settings = { bodyLimitBytes: 1_000_000, trustProxyHops, secureCookies, corsOrigins: [], requestTimeoutMs: 10_000 }
  const { authenticate, permissionsIn, noteRefused } = room
  const http = createHttp({ log: createLog(), clock, authenticate, permissionsIn, noteRefused, settings })
  http.mount({ id: 'identity', mounts: candidate.manifest.mounts, routes, middleware, log: createLog() })
  const listening = await http.listen({ host: '127.0.0.1', port: 0 })
  undo(t, () => listening.close())
  return { house, url: listening.url }
}

export const post = (url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })
