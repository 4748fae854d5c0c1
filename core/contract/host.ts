// The host as those who operate it see it: what its plugins do and why, and how one is replaced, switched off and on.

import type { User } from './access.ts'
import type { TaskOperation } from './task.ts'

/**
 * `running` serves. `waiting`, `starting` and `stopping` are on their way. `held` waits for something it needs, `quarantined` failed and is tried
 * again at `retryAt`, `disabled` was switched off; the paths of these three answer 503. `failed` and `stopped` are ends.
 */
export type UnitState = 'waiting' | 'starting' | 'running' | 'quarantined' | 'held' | 'failed' | 'disabled' | 'stopping' | 'stopped'

/** Of this replica. Times are ISO 8601. */
export interface PluginStatus {
  readonly id: string
  readonly version: string
  /** Counts the copies of its code that were loaded since the host started; the one that serves, or would. */
  readonly generation: number
  readonly state: UnitState
  readonly since: string
  /** Why it is in this state, for operators: it may name what callers must not know. */
  readonly reason: string | null
  readonly retryAt: string | null
  /** After its first start: recoveries, and generations that took the place of another. */
  readonly restarts: number
  readonly readiness: 'required' | 'degraded'
  /** Resources and plugins it does not run without. */
  readonly needs: readonly string[]
  readonly mounts: readonly string[]
  /** What its running generation owns, by kind; zeros when none runs. */
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
  /** What generations that have ended left behind, by name, while it is there. */
  readonly leftBehind: readonly string[]
  /** Why this replica has not done what was asked of all; null when it has. */
  readonly behind: string | null
}

/** Who asked for a change: kept beside it, shown as its reason, and written to the audit log. */
export interface Operator extends Pick<User, 'id' | 'name'> {
  /** The client's address, where it is known: `ctx.ip`. */
  readonly address?: string | undefined
  /** The user of the request (`ctx.user` itself). Without it the audit log marks the change as done by the plugin that asked for it. */
  readonly user?: User | undefined
}

/** How one unit came up. Times in milliseconds. */
export interface LifecycleSpan {
  readonly id: string
  readonly kind: 'resource' | 'plugin' | 'host'
  readonly state: UnitState
  /** Until all it waited for was there, or it was held. */
  readonly waitedForMs: number
  /** ISO 8601; null when it never began. */
  readonly startedAt: string | null
  /** All attempts together. */
  readonly durationMs: number
  readonly attempts: number
  readonly needs: readonly string[]
  /** The one it waited for longest, or the one that holds it. */
  readonly lastNeed: string | null
  readonly reason: string | null
}

export interface Lifecycle {
  /** From the start of the process until it was ready. */
  readonly totalMs: number
  /** Units in the order they were given, as they were when the host became ready. */
  readonly units: readonly LifecycleSpan[]
  /** From the first unit to the one that came last, each waiting for the one before. */
  readonly criticalPath: readonly string[]
}

/**
 * The named resource `host`: operating the host's plugins and what they have in the background. Whoever declares it can switch off and replace any
 * plugin, and see and cancel any job, so its routes must ask for a permission.
 */
export interface Host extends PluginOperation, TaskOperation {}

/**
 * Part of the resource `host`. What is asked is written to the database, a reload once it has succeeded here, and followed by the other replicas
 * within seconds.
 */
export interface PluginOperation {
  /** In the order of their ids. */
  plugins (): readonly PluginStatus[]
  /** `NotFound` for an id that no plugin has. */
  plugin (id: string): PluginStatus
  /**
   * Makes the plugin what its folder says now: the next generation is imported, checked, migrated and started beside the one that serves, and takes
   * over; a plugin that is new there is installed, one whose folder has gone is removed. Resolves at the switch; the last generation finishes its
   * requests after that. `Conflict` with the reason when it could not take over: the last one goes on. `NotFound` when there is neither
   * such a plugin nor such a folder.
   */
  reload (id: string, by: Operator): Promise<PluginStatus>
  /** Lets it start again. Resolves when it runs, or does not for now. */
  enable (id: string, by: Operator): Promise<PluginStatus>
  /**
   * Ends it after those that need it; holds for the next starts, too. Resolves when it has ended, or after a second: its `state` then says how far
   * that is, while it and those that need it finish what they have under way.
   */
  disable (id: string, by: Operator, reason?: string): Promise<PluginStatus>
  lifecycle (): Lifecycle
}
