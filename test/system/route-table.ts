// The routes of every plugin in some folders, as the plugins themselves register them: what a test of all routes is made from.

import assert from 'node:assert/strict'
import { corePermissions } from '../../core/access/index.ts'
import type { PermissionDeclaration, Resources } from '../../core/contract/index.ts'
import { resourceNames } from '../../core/contract/plugin.ts'
import type { RouteRecord } from '../../core/handover/route-record.ts'
import { createContainer, discoverPlugins, loadDefinitions, registerBulkhead } from '../../core/plugin-runtime/index.ts'
import { createScope } from '../../core/plugin-runtime/scope/scope.ts'
import host from '../../package.json' with { type: 'json' }
import { noWork, refuse } from '../plugin-runtime/fixture.ts'
import { clock, createLog } from '../support/part.ts'

export interface RouteTable {
  readonly routes: readonly RouteRecord[]
  /** By name, the host's own too, with the system roles that hold them beside admin. */
  readonly permissions: ReadonlyMap<string, PermissionDeclaration['roles'] & object>
}

const keepsNothing = { keeps: () => () => undefined }

export async function readRouteTable (folders: readonly string[]): Promise<RouteTable> {
  registerBulkhead()
  const { candidates, broken, problems } = await discoverPlugins({
    paths: [...folders], packages: [], disabled: [], enabled: [], production: false, hostVersion: host.version
  })
  const { plugins, failures, clashes } = await loadDefinitions(candidates, { clock, budgetMs: 10_000, corePermissions: [] })
  assert.deepEqual([...problems, ...broken, ...failures, ...clashes], [])
  // They register and are not asked for anything: the handlers run in the host that is tested, not here.
  const container = createContainer(Object.fromEntries(resourceNames.map(name => [name, () => (name === 'encryption' ? keepsNothing : {}) as Resources[typeof name]])))
  const routes: RouteRecord[] = []
  for (const { candidate, definition, owner } of plugins) {
    const fields = Object.entries(definition.config ?? {}).map(([name, field]) => [name, field.default] as const)
    const { scope, registration, end } = createScope({
      container, candidate, config: Object.fromEntries(fields), log: createLog(), clock, owner,
      signal: new AbortController().signal, services: new Map(), work: noWork, mayPublish: () => undefined,
      fetch: refuse, undo: () => undefined, onFault: () => undefined
    })
    await definition.start(scope)
    routes.push(...registration.routes)
    // Timers that were begun go on otherwise, and the test with them.
    await end(new Error('the table is read'))
  }
  const declared = plugins.flatMap(({ definition }) => Object.entries(definition.permissions ?? {}))
  const own = corePermissions.map(({ name, ...rest }) => [name, rest] as const)
  return { routes, permissions: new Map([...own, ...declared].map(([name, { roles = [] }]) => [name, roles])) }
}
