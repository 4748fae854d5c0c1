// Maps each first path segment under /api to the plugin that serves it. A change is one step: a request sees all of it
// or nothing.

import { ServiceUnavailable } from '../../contract/index.ts'
import type { Log } from '../../contract/index.ts'
import type { RouteRecord } from '../../handover/route-record.ts'
import type { Middleware } from '../application.ts'
import { createMatcher } from './matcher.ts'
import type { Matcher } from './matcher.ts'
import { createRoute } from './prepared-route.ts'
import type { Route } from './prepared-route.ts'
import { findRouteProblems } from './route-problem.ts'

/** The routes, mounts and middleware that a plugin wants served. */
export interface Plugin {
  readonly id: string
  /** First path segments under `/api`. A mount without routes answers 404. */
  readonly mounts: readonly string[]
  readonly routes: readonly RouteRecord[]
  /** Runs after the guard and before the handler, for every route of the plugin. */
  readonly middleware: readonly Middleware[]
  readonly log: Log
}

/** A plugin whose paths answer 503 until it is mounted. */
export interface HeldPlugin {
  readonly id: string
  readonly mounts: readonly string[]
  /** A sentence that callers read in the answer. */
  readonly reason: string
  /** Called for each refusal. */
  readonly retryAfterMs?: () => number
}

export interface Mounted {
  readonly id: string
  readonly plugin: Plugin
  /** The first request builds it, so a host with a thousand plugins starts without building a thousand routers. */
  readonly matcher: Matcher<Route>
}

interface Held {
  readonly id: string
  readonly held: HeldPlugin
}

export interface MountTable {
  mount (plugin: Plugin): () => void
  hold (plugin: HeldPlugin): () => void
  /** Removes the plugin's mounts; its paths answer 404 and another plugin may take them. */
  release (id: string): void
  /**
   * Answers 503 with this reason for everything that the plugin has mounted or mounts later. `undefined` as the reason
   * ends this.
   */
  suspend (id: string, reason: string | undefined): void
  /** Throws `ServiceUnavailable` when the plugin is held or suspended. */
  find (name: string): Mounted | undefined
}

/** `Retry-After` of a suspended plugin. The health check polls the resources that a plugin needs twice a second. */
const retrySuspendedMs = 1_000

export class InvalidRoutes extends Error {
  readonly code = 'BULKHEAD_INVALID_ROUTES'
  readonly problems: readonly string[]

  constructor (id: string, problems: readonly string[]) {
    super(`The routes of plugin "${id}" cannot be served:\n${problems.map(problem => `- ${problem}`).join('\n')}`)
    this.name = 'InvalidRoutes'
    this.problems = problems
  }
}

export interface MountTableParts {
  bodyLimitBytes: number
  compose: (middleware: readonly Middleware[], route: Route) => Route['chain']
}

export function createMountTable ({ bodyLimitBytes, compose }: MountTableParts): MountTable {
  const table = new Map<string, Mounted | Held>()
  const placed = new Map<string, ReadonlyMap<string, Mounted | Held>>()
  const suspended = new Map<string, string>()

  /** Replaces all entries of the plugin in one step, so those of its last generation go at the same moment. */
  const place = (id: string, entries: ReadonlyMap<string, Mounted | Held>): () => void => {
    clear(id)
    placed.set(id, entries)
    for (const [name, entry] of entries) table.set(name, entry)
    return () => {
      if (placed.get(id) === entries) clear(id)
    }
  }
  const clear = (id: string): void => {
    for (const name of placed.get(id)?.keys() ?? []) table.delete(name)
    placed.delete(id)
  }

  const createMounted = (plugin: Plugin, name: string): Mounted => {
    let matcher: Matcher<Route> | undefined
    const build = (): Matcher<Route> => createMatcher(plugin.routes.filter(({ mount }) => mount === name).map(record => {
      const route = createRoute(record, bodyLimitBytes)
      return { method: record.method, path: record.path, route: { ...route, chain: compose(plugin.middleware, route) } }
    }))
    return { id: plugin.id, plugin, get matcher () { return matcher ??= build() } }
  }

  const findTaken = (id: string, mounts: readonly string[]): string[] => mounts.flatMap(name => {
    const owner = table.get(name)?.id
    return owner === undefined || owner === id ? [] : [`The mount "${name}" belongs to plugin "${owner}"; name another in "mounts" of the manifest.`]
  })

  return {
    mount (plugin) {
      const { id, mounts, routes } = plugin
      const strays = routes.filter(({ mount }) => !mounts.includes(mount)).map(({ method, mount, path }) =>
        `${method.toUpperCase()} ${path} is for the mount "${mount}", which the plugin does not have; add it to "mounts" of the manifest.`)
      const problems = [...findTaken(id, mounts), ...strays, ...findRouteProblems(routes)]
      if (problems.length > 0) throw new InvalidRoutes(id, problems)
      return place(id, new Map(mounts.map(name => [name, createMounted(plugin, name)])))
    },
    hold (plugin) {
      const problems = findTaken(plugin.id, plugin.mounts)
      if (problems.length > 0) throw new InvalidRoutes(plugin.id, problems)
      return place(plugin.id, new Map(plugin.mounts.map(name => [name, { id: plugin.id, held: plugin }])))
    },
    release: clear,
    suspend (id, reason) {
      if (reason === undefined) suspended.delete(id)
      else suspended.set(id, reason)
    },
    find (name) {
      const entry = table.get(name)
      if (entry === undefined) return undefined
      if ('held' in entry) {
        const { reason, retryAfterMs } = entry.held
        throw new ServiceUnavailable(reason, retryAfterMs === undefined ? {} : { retryAfterMs: retryAfterMs() })
      }
      const reason = suspended.size === 0 ? undefined : suspended.get(entry.id)
      if (reason !== undefined) throw new ServiceUnavailable(reason, { retryAfterMs: retrySuspendedMs })
      return entry
    }
  }
}
