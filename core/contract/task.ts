// How a plugin declares work that runs without a request.

import type { Log } from './log.ts'

export interface TaskRun {
  /** Names this attempt; the same effect under the same id is the same attempt. */
  readonly attemptId: string
  /** 1 for the first. */
  readonly attempt: number
  /** Aborts when the time is up or the plugin stops. */
  readonly signal: AbortSignal
  readonly log: Log
}

export type TaskHandler = (run: TaskRun) => void | Promise<void>

export interface TaskOptions {
  /** `cluster` (unless said): one run a tick among all replicas. `replica`: each replica for itself. */
  once?: 'cluster' | 'replica'
  /** A duration (`'30s'`, `'5m'`, or milliseconds) after which a run is aborted and counts as failed. 60 s unless said. */
  timeout?: Duration
}

export interface CronOptions extends TaskOptions {
  /** An IANA zone; UTC unless said. */
  timezone?: string
}

/** Milliseconds, or a whole number with a unit: `'250ms'`, `'10s'`, `'5m'`, `'2h'`, `'1d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** Task names are unique within a plugin: lower case, digits and dashes. At least once: a run whose replica died is run again. */
export interface Tasks {
  every (name: string, interval: Duration, handler: TaskHandler): void
  every (name: string, interval: Duration, options: TaskOptions, handler: TaskHandler): void
  /** Five fields: minute, hour, day of month, month, day of week. */
  cron (name: string, expression: string, handler: TaskHandler): void
  cron (name: string, expression: string, options: CronOptions, handler: TaskHandler): void
}

interface DeclaredTask {
  readonly name: string
  readonly handler: TaskHandler
}

/** A declared task as the host keeps it. */
export type TaskRecord =
  | DeclaredTask & { readonly kind: 'every', readonly interval: Duration, readonly options: TaskOptions }
  | DeclaredTask & { readonly kind: 'cron', readonly expression: string, readonly options: CronOptions }
