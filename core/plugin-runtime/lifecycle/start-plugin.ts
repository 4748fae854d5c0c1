// Starts one generation of a plugin, makes it serve, and registers how everything it did is undone.

import { sep } from 'node:path'
import type { Clock, GuardedFetch, Log, Postgres } from '../../contract/index.ts'
import type { RouteRecord } from '../../handover/route-record.ts'
import { asError, describeThrown } from '../../contract/thrown.ts'
import type { TaskRecord } from '../../handover/task-record.ts'
import { StartStopped, type Opened, type StartContext } from '../../kernel/index.ts'
import type { Candidate } from '../discovery/discover.ts'
import type { MayPublish } from '../discovery/event-owner.ts'
import { findNearest } from '../discovery/nearest.ts'
import { modulesOf, showPath } from '../discovery/plugin-problem.ts'
import type { LoadedPlugin } from '../loading/plugin-definition.ts'
import { bindSignal, runAs, type Owner } from '../ownership/owner.ts'
import type { Middleware } from '../scope/registration.ts'
import { createScope, type Container } from '../scope/scope.ts'
import type { Offer } from '../scope/service-handle.ts'
import type { TaskScope } from '../scope/task-scope.ts'

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

export type EndTasks = (how: { readonly atOnce: boolean }) => void | Promise<void>

export interface PluginTasks {
  readonly plugin: string
  readonly log: Log
  readonly tasks: readonly TaskRecord[]
  readonly postgres?: Postgres | undefined
}

/** Everything that other modules of the host do for a plugin that starts. */
export interface PluginRooms {
  readonly container: Container
  readonly clock: Clock
  /** Returns one sentence for each problem with the routes. */
  checkRoutes (routes: readonly RouteRecord[]): readonly string[]
  /**
   * Serves all routes of the plugin from this moment on, in place of its previous generation. The returned function
   * stops serving them, unless another generation has replaced them by then. It resolves once the requests in progress
   * are answered.
   */
  mount (plugin: MountedPlugin): () => void | Promise<void>
  /**
   * Resolves once every task is scheduled and every queue has a worker. The result is the undo: it claims nothing more
   * and notifies the running tasks, which finish within the drain or are given back. With `atOnce` the drain lasts only
   * a moment. `postgres` is the plugin's own handle, when its manifest names it.
   */
  registerTasks (plugin: PluginTasks): Promise<EndTasks>
  readonly work: TaskScope
  readonly fetch: GuardedFetch
}

export interface PluginParts extends PluginRooms {
  /** The services that plugins returned from `start`, by plugin id; the units maintain the map. */
  readonly services: Map<string, Offer>
  /** Reports an error that the plugin's code threw and no caller caught. */
  noteFault (owner: Owner, thrown: unknown): void
}

/** One generation of a plugin, and everything it is started with. */
export interface Generation {
  readonly plugin: LoadedPlugin
  readonly owner: Owner
  readonly config: Readonly<Record<string, unknown>>
  readonly log: Log
  readonly permissions: PermissionOwners
  readonly mayPublish: MayPublish
}

/** The plugin that declares each permission now. */
export interface PermissionOwners {
  /** Returns the plugin's id, or `host`; undefined when no plugin declares the permission. */
  ownerOf (permission: string): string | undefined
  names (): readonly string[]
}

/** Owner of the host's own permissions; no plugin can have this id. */
export const hostOwner = 'host'

/** Returns the ids of the resources and plugins that the plugin cannot run without. */
export const needsOf = ({ manifest: { resources, tolerates, requires } }: Candidate): readonly string[] =>
  [...resources.filter(name => !tolerates.includes(name)), ...Object.keys(requires)]

/** Starts the generation. The result makes it serve. */
export async function startPlugin (
  { plugin, owner, config, log, permissions, mayPublish }: Generation, parts: PluginParts, context: StartContext
): Promise<Opened<never> & { serve: () => void }> {
  const { signal } = context
  const { candidate, definition } = plugin
  const { id, version, manifest: { mounts, resources } } = candidate
  const { account } = owner
  const { scope, registration, fence, end } = createScope({
    ...parts, candidate, owner, config, log, signal, mayPublish,
    undo: (name, step) => context.undo(name, step), onFault: thrown => parts.noteFault(owner, thrown)
  })
  context.undo('scope', () => end(signal.reason))
  // During the start an abort means that the kernel no longer waits for it. Later an abort means that the plugin is to
  // end, in order.
  const fenceOff = (): void => fence.end(signal.reason)
  signal.addEventListener('abort', fenceOff)
  try {
    const service = await run(candidate, () => runAs(owner, () => definition.start(scope)))
    registration.close()
    fence.check()

    const { routes, middleware, tasks, hearings } = registration
    const problems = [...parts.checkRoutes(routes), ...findPermissionProblems(candidate, routes, permissions)]
    if (problems.length > 0) throw new PluginStartFailed(id, [`its routes in ${showPath(candidate.entry)} cannot be served.`, ...problems].join('\n  '))

    // Tasks come first, because they can still fail. From the mount on, the plugin is in use.
    let endTasks = async (): Promise<void> => { /* The plugin has no tasks. */ }
    let ending: Promise<void> | undefined
    if (tasks.length > 0) {
      const postgres = resources.includes('postgres') ? scope.postgres : undefined
      const end = await run(candidate, () => parts.registerTasks({ plugin: id, log, tasks, postgres }))
      const closed = tasks.map(({ name }) => account.open('tasks', name))
      endTasks = async () => {
        // When the host stops, it leaves the runs to other replicas at once.
        await (ending ??= Promise.resolve(end({ atOnce: signal.reason instanceof StartStopped })))
        for (const close of closed) close()
      }
      context.undo('tasks', endTasks)
    }
    for (const { event, schema, handler } of hearings) {
      const leave = await run(candidate, () => parts.work.hear(event, schema, handler))
      const left = account.open('subscriptions', event)
      context.undo(`broadcasts of ${event}`, async () => { await leave(); left() })
    }
    fence.check()
    const serve = (): void => {
      const unmount = parts.mount({ id, mounts, routes, middleware, log })
      const closed = routes.map(({ method, mount, path }) => account.open('routes', `${method.toUpperCase()} /api/${mount}${path}`))
      const offer = { service, version, owner }
      parts.services.set(id, offer)
      context.undo('service', () => { if (parts.services.get(id) === offer) parts.services.delete(id) })
      // This step is undone before the steps above, while everything that requests and tasks in progress may use still
      // exists. No tick comes from that moment on.
      context.undo('routes and tasks', async () => {
        await Promise.all([unmount(), endTasks()])
        for (const close of closed) close()
      })
    }
    const { check } = definition
    return { serve, check: check && (asked => runAs(owner, check, bindSignal(owner, asked))) }
  } finally {
    signal.removeEventListener('abort', fenceOff)
  }
}

async function run<T> ({ id, folder }: Candidate, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    const why = describeThrown(thrown)
    const place = modulesOf(asError(thrown)).find(({ path }) => path.startsWith(folder + sep))
    throw new PluginStartFailed(id, place === undefined ? why : `${why} (${showPath(place.path)}:${place.line})`, { cause: thrown })
  }
}

function findPermissionProblems ({ id, manifest }: Candidate, routes: readonly RouteRecord[], { ownerOf, names }: PermissionOwners): string[] {
  const reachable = new Set([hostOwner, id, ...Object.keys(manifest.requires), ...Object.keys(manifest.optional)])
  return routes.flatMap(({ method, path, options }) => {
    const { permission } = options as { permission?: unknown } | undefined ?? {}
    if (typeof permission !== 'string' || permission === '') return []
    const owner = ownerOf(permission)
    if (owner !== undefined && reachable.has(owner)) return []
    const route = `${method.toUpperCase()} ${path} names the permission "${permission}", which`
    if (owner !== undefined) return [`${route} belongs to the plugin "${owner}"; add "${owner}" to "requires" or "optional" of the manifest.`]
    const nearest = findNearest(permission, names())
    return [`${route} no plugin declares; ${nearest === undefined ? '' : `write "${nearest}", or `}declare it in "permissions" of the definition.`]
  })
}
