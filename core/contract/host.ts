// The resource `host`, for plugins that operate the host. It reports the state of every plugin and the reason for it,
// and it reloads, disables and enables plugins.

import type { User } from './access.ts'
import type { TaskOperation } from './task.ts'

/**
 * A `running` unit serves. A `waiting`, `starting` or `stopping` unit is in transition. A `held` unit waits for
 * something that it needs. A `quarantined` unit failed and is started again at `retryAt`. A `disabled` unit was
 * switched off by an operator. The paths of plugins in these last three states answer 503. `failed` and `stopped` are
 * final.
 */
export type UnitState = 'waiting' | 'starting' | 'running' | 'quarantined' | 'held' | 'failed' | 'disabled' | 'stopping' | 'stopped'

/** The status of one plugin in this replica. Times are in ISO 8601. */
export interface PluginStatus {
  readonly id: string
  readonly version: string
  /**
   * The number of the generation that serves, or would serve. It counts the copies of the plugin's code that were
   * loaded since the host started.
   */
  readonly generation: number
  readonly state: UnitState
  readonly since: string
  /** The reason for the state. It is for operators: it may name things that callers must not learn. */
  readonly reason: string | null
  readonly retryAt: string | null
  /** The number of starts after the first one: recoveries, and generations that replaced another. */
  readonly restarts: number
  readonly readiness: 'required' | 'degraded'
  /** The resources and plugins that the plugin cannot run without. */
  readonly needs: readonly string[]
  readonly mounts: readonly string[]
  /** The number of things that the running generation owns, by kind. All are zero when no generation runs. */
  readonly owns: {
    readonly routes: number
    readonly tasks: number
    readonly timers: number
    readonly subscriptions: number
    readonly listeners: number
    readonly connections: number
    /** Servers, child processes, workers and file watchers. */
    readonly others: number
  }
  /** The names of things that ended generations did not clean up, for as long as these exist. */
  readonly leftBehind: readonly string[]
  /** The reason why this replica has not carried out an operator's request to all replicas; null when it has. */
  readonly behind: string | null
}

/**
 * The operator who requests a change. The name is stored with the change, shown as its reason and written to the audit
 * log.
 */
export interface Operator extends Pick<User, 'id' | 'name'> {
  /** The client's address, if known: `ctx.ip`. */
  readonly address?: string | undefined
  /**
   * The user of the request: `ctx.user` itself. Without it, the audit log marks the change as made by the plugin that
   * requested it.
   */
  readonly user?: User | undefined
}

/** Describes how one unit started. Durations are in milliseconds. */
export interface LifecycleSpan {
  readonly id: string
  readonly kind: 'resource' | 'plugin' | 'host'
  readonly state: UnitState
  /** The time until everything that the unit waited for was available, or until the unit was held. */
  readonly waitedForMs: number
  /** The time of the first attempt in ISO 8601; null when the unit never began to start. */
  readonly startedAt: string | null
  /** The time from the first attempt until the unit settled, all attempts included. */
  readonly durationMs: number
  readonly attempts: number
  readonly needs: readonly string[]
  /** The unit that it waited for longest, or the unit that holds it. */
  readonly lastNeed: string | null
  readonly reason: string | null
}

export interface Lifecycle {
  /** The time from the start of the process until the host was ready. */
  readonly totalMs: number
  /** The units in the order in which they were declared, as they were when the host became ready. */
  readonly units: readonly LifecycleSpan[]
  /** The chain of units from the first unit to the one that settled last. Each waited for the one before it. */
  readonly criticalPath: readonly string[]
}

/**
 * The named resource `host`. It operates the host's plugins and their background work. A plugin that declares it can
 * disable and replace any plugin, and can see and cancel any job, so its routes must require a permission.
 */
export interface Host extends PluginOperation, TaskOperation {}

/**
 * The part of the resource `host` that operates plugins. Each request is written to the database (a reload once it has
 * succeeded in this replica), and the other replicas follow within seconds.
 */
export interface PluginOperation {
  /** Returns the status of every plugin, ordered by id. */
  plugins (): readonly PluginStatus[]
  /** Returns the status of one plugin. Throws `NotFound` for an id that no plugin has. */
  plugin (id: string): PluginStatus
  /**
   * Brings the plugin in line with its folder. The next generation is imported, checked, migrated and started beside
   * the one that serves, and then replaces it. A plugin that is new in the folder is installed; a plugin whose folder
   * is gone is removed.
   *
   * Resolves at the switch; the previous generation finishes its requests after that. Rejects with `Conflict` and the
   * reason when the next generation could not take over; the previous one then continues to serve. Rejects with
   * `NotFound` when there is neither such a plugin nor such a folder.
   */
  reload (id: string, by: Operator): Promise<PluginStatus>
  /** Allows the plugin to start again. Resolves when it runs, or when it is clear that it cannot run at present. */
  enable (id: string, by: Operator): Promise<PluginStatus>
  /**
   * Stops the plugin after the plugins that need it. The plugin stays disabled after a restart of the host. Resolves
   * when the plugin has ended, or after one second: `state` then shows the progress, while the plugin and those that
   * need it finish the work under way.
   */
  disable (id: string, by: Operator, reason?: string): Promise<PluginStatus>
  lifecycle (): Lifecycle
}
