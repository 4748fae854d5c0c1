// A plugin as the kernel sees it: how it starts, what it needs first, and how everything it did is undone.

import { inspect } from 'node:util'
import type { Clock, Log, RouteRecord, TaskRecord } from '../contract/index.ts'
import type { StartContext, UnitDefinition } from '../kernel/index.ts'
import type { LoadedPlugin } from './definition.ts'
import type { Candidate } from './discover.ts'
import { findNearest } from './nearest.ts'
import { showPath } from './problem.ts'
import type { Middleware } from './registration.ts'
import { createScope, type Container } from './scope.ts'

export class PluginStartFailed extends Error {
  readonly code = 'BULKHEAD_PLUGIN_START_FAILED'
  readonly plugin: string

  constructor (plugin: string, why: string, options?: ErrorOptions) {
    super(`Plugin "${plugin}" did not start: ${why}`, options)
    this.name = 'PluginStartFailed'
    this.plugin = plugin
  }
}

export interface MountedPlugin {
  readonly id: string
  readonly mounts: readonly string[]
  readonly routes: readonly RouteRecord[]
  readonly middleware: readonly Middleware[]
  readonly log: Log
}

type Undo = () => void | Promise<void>

/** What the other rooms do for plugins. */
export interface PluginParts {
  readonly container: Container
  readonly clock: Clock
  /** What plugins returned from `start`, by id; kept by the units. */
  readonly services: Map<string, unknown>
  /** One sentence for each thing that is wrong with the routes. */
  checkRoutes (routes: readonly RouteRecord[]): readonly string[]
  /** Serves all routes of the plugin from one moment on. */
  mount (plugin: MountedPlugin): Undo
  registerTasks (plugin: { readonly plugin: string, readonly log: Log, readonly tasks: readonly TaskRecord[] }): Promise<Undo>
}

export interface PluginsToRun {
  readonly plugins: readonly LoadedPlugin[]
  /** Of the validation: optional plugins that are here in a version the plugin can use. */
  readonly optional: ReadonlyMap<string, readonly string[]>
  readonly corePermissions: Iterable<string>
  readonly startBudgetMs: number
  readonly stopBudgetMs: number
  configOf (id: string): Readonly<Record<string, unknown>>
  logOf (id: string): Log
}

export function createPluginUnits (run: PluginsToRun, parts: PluginParts): UnitDefinition[] {
  const owners = new Map<string, string>()
  for (const name of run.corePermissions) owners.set(name, host)
  for (const { candidate, definition } of run.plugins) {
    for (const name of Object.keys(definition.permissions ?? {})) owners.set(name, candidate.id)
  }
  return run.plugins.map(plugin => {
    const { id, manifest } = plugin.candidate
    const optional = run.optional.get(id) ?? []
    return {
      id,
      kind: 'plugin',
      needs: [...manifest.resources, ...Object.keys(manifest.requires)],
      after: optional,
      required: manifest.readiness === 'required',
      startBudgetMs: run.startBudgetMs,
      stopBudgetMs: run.stopBudgetMs,
      start: context => startPlugin({ plugin, optional, owners, config: run.configOf(id), log: run.logOf(id) }, parts, context)
    }
  })
}

/** Owner of the host's own permissions; no plugin can have this id. */
const host = 'host'

interface OnePlugin {
  readonly plugin: LoadedPlugin
  readonly optional: readonly string[]
  /** Who declares each permission. */
  readonly owners: ReadonlyMap<string, string>
  readonly config: Readonly<Record<string, unknown>>
  readonly log: Log
}

async function startPlugin ({ plugin, optional, owners, config, log }: OnePlugin, parts: PluginParts, context: StartContext): Promise<void> {
  const { signal } = context
  const { candidate, definition } = plugin
  const { id, manifest: { mounts } } = candidate
  const { scope, registration, fence, end } = createScope({
    ...parts, candidate, config, log, signal, optional, undo: (name, step) => context.undo(name, step)
  })
  context.undo('scope', () => end(signal.reason))
  // While it starts, an abort means that nobody waits for it any more; later it means that the plugin is to end, in order.
  const fenceOff = (): void => fence.end(signal.reason)
  signal.addEventListener('abort', fenceOff)
  try {
    const service = await run(id, () => definition.start(scope))
    registration.close()
    fence.check()

    const { routes, middleware, tasks } = registration
    const problems = [...parts.checkRoutes(routes), ...findPermissionProblems(candidate, routes, owners)]
    if (problems.length > 0) throw new PluginStartFailed(id, [`its routes in ${showPath(candidate.entry)} cannot be served.`, ...problems].join('\n  '))

    // Tasks first, because they can still fail; from the mount on the plugin is in use.
    if (tasks.length > 0) context.undo('tasks', await run(id, () => parts.registerTasks({ plugin: id, log, tasks })))
    fence.check()
    parts.services.set(id, service)
    context.undo('service', () => { parts.services.delete(id) })
    context.undo('routes', parts.mount({ id, mounts, routes, middleware, log }))
  } finally {
    signal.removeEventListener('abort', fenceOff)
  }
}

async function run<T> (id: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    const why = Error.isError(thrown) ? thrown.message || thrown.name : `it threw ${inspect(thrown, { depth: 0 })}, which is not an Error`
    throw new PluginStartFailed(id, why, { cause: thrown })
  }
}

function findPermissionProblems ({ id, manifest }: Candidate, routes: readonly RouteRecord[], owners: ReadonlyMap<string, string>): string[] {
  const reachable = new Set([host, id, ...Object.keys(manifest.requires), ...Object.keys(manifest.optional)])
  return routes.flatMap(({ method, path, options }) => {
    const { permission } = options as { permission?: unknown } | undefined ?? {}
    if (typeof permission !== 'string' || permission === '') return []
    const owner = owners.get(permission)
    if (owner !== undefined && reachable.has(owner)) return []
    const route = `${method.toUpperCase()} ${path} names the permission "${permission}", which`
    if (owner !== undefined) return [`${route} belongs to the plugin "${owner}"; add "${owner}" to "requires" or "optional" of the manifest.`]
    const nearest = findNearest(permission, [...owners.keys()])
    return [`${route} nobody declares; ${nearest === undefined ? '' : `write "${nearest}", or `}declare it in "permissions" of the definition.`]
  })
}
