// How a plugin declares background work (intervals, cron tasks, queues), and how it sends jobs to its queues.

import type { z } from 'zod'
import type { Duration } from './duration.ts'
import type { Log } from './log.ts'
import type { Transaction } from './postgres.ts'

export interface TaskRun {
  /**
   * The id of the job. It is the same in every attempt, so use it as the idempotency key of an effect outside Postgres.
   */
  readonly id: string
  /**
   * The id of this attempt. It is also a fence: once another attempt has begun, the result of this one does not count,
   * and its `tx` cannot commit.
   */
  readonly attemptId: string
  /** The number of this attempt, from 1. */
  readonly attempt: number
  /**
   * Aborts when the timeout is over, when the plugin ends, and when another replica has taken over the job. After the
   * plugin's end a run still has the drain to finish in. A run that has not finished by then goes back to the queue at
   * once and is run again.
   */
  readonly signal: AbortSignal
  readonly log: Log
  /**
   * A transaction that begins with its first statement and commits together with the completion of the job. Its changes
   * are therefore made exactly once, even if a replica dies or freezes. It rolls back when the handler throws. It needs
   * `postgres` in the manifest's resources.
   *
   * Postgres rolls the transaction back after 15 s idle, so that a frozen replica holds no locks: call other systems
   * before the first statement.
   */
  readonly tx: Transaction
}

export type TaskHandler = (run: TaskRun) => void | Promise<void>

export interface TaskOptions {
  /**
   * `cluster` (the default) runs each tick once among all replicas. `replica` runs it in each replica, and these runs
   * are not in the history.
   */
  once?: 'cluster' | 'replica'
  /**
   * A duration (`'30s'`, `'5m'`, or milliseconds) after which a run is aborted and counts as failed. The default is
   * 60 s.
   */
  timeout?: Duration
}

export interface CronOptions extends TaskOptions {
  /**
   * An IANA name such as `Europe/Paris`. The default is UTC. A local time that the zone repeats is due once, at its
   * first occurrence; one that the zone skips is due later by the skipped time. An expression that matches every hour
   * is due at each instant whose local time fits.
   */
  timezone?: string
}

export interface QueueOptions<Input extends z.ZodType = z.ZodType> {
  /**
   * The schema of the input. The input is checked against it as JSON, both when it is sent and before the handler runs.
   * The handler gets the schema's output.
   */
  input: Input
  /**
   * Defines how often a failed job is retried (`limit`, default 5) and after how long. `exponential` (the default)
   * doubles `delay` (default 1 s) up to one hour; `fixed` always waits `delay`. After the last retry the job is a dead
   * letter: it is stored with its error until an operator retries or discards it, or the history expires.
   */
  retry?: { limit?: number, backoff?: 'exponential' | 'fixed', delay?: Duration }
  /** The timeout of one attempt. The default is 60 s, the maximum one day. */
  timeout?: Duration
  /** The number of jobs of this queue that each replica runs at a time. The default is 4. */
  concurrency?: number
}

export interface QueueRun<Input = unknown> extends TaskRun {
  readonly input: Input
}

export type QueueHandler<Input = unknown> = (run: QueueRun<Input>) => void | Promise<void>

export interface SendOptions {
  /** The caller's transaction. The job exists if and only if the transaction commits. */
  in?: Transaction
  /**
   * An ordering key of 1 to 200 characters. Jobs of one key run one at a time, in the order in which they were sent. A
   * failed job blocks those behind it until it succeeds, an operator discards it, or it is deleted with the history
   * (`PLATFORM_TASKS_HISTORY_HOURS`).
   */
  key?: string
  /**
   * The delay before the job may run. A job with a key takes its place in the order of the key only after the delay;
   * until then it does not hold back later jobs.
   */
  after?: Duration
  /** The priority of the job; the highest runs first. The default is 0. It has no effect among jobs of one key. */
  priority?: number
}

/**
 * Registers the plugin's tasks and queues. Task names are unique within a plugin: lower case, digits and dashes.
 *
 * Delivery is at least once. A run whose replica died or froze is run again by another replica within 20 s, and
 * anything the first run then does through `tx` is refused. An effect outside Postgres may happen twice.
 *
 * A replica runs only the tasks that its own version of the plugin declares. A replica without the plugin, or without
 * the task, claims none of its jobs. While two versions run (a rolling update), a task of both is one task: each tick
 * is one run, by either version. Where the two versions differ in when the task is due, the ticks of both count until
 * the older version has ended. So the newer version must accept the inputs that the older one sent. `queue` says what
 * happens to an input that only the newer version accepts.
 */
export interface Tasks {
  every (name: string, interval: Duration, handler: TaskHandler): void
  every (name: string, interval: Duration, options: TaskOptions, handler: TaskHandler): void
  /** Registers a task with a cron expression of five fields: minute, hour, day of month, month, day of week. */
  cron (name: string, expression: string, handler: TaskHandler): void
  cron (name: string, expression: string, options: CronOptions, handler: TaskHandler): void
  /**
   * Registers a queue and the handler of its jobs, in every replica that has the plugin. An input that does not fit the
   * schema counts as a failed attempt, with one exception: when a newer version of the plugin sent the job, it goes
   * back for a replica with that version, without counting as an attempt, for about one hour.
   */
  queue<Input extends z.ZodType> (name: string, options: QueueOptions<Input>, handler: QueueHandler<z.output<Input>>): void
  /**
   * Sends a job to a queue of this plugin. Resolves with the job's id. The input may have up to 1 MB as JSON; larger
   * data belongs in the storage. Rejects with `ValidationFailed` when the input does not fit, and with
   * `ServiceUnavailable` when the database is unavailable.
   */
  send (name: string, input: unknown, options?: SendOptions): Promise<string>
}

/** The state of a job. A `dead` job failed in its last attempt and is not retried automatically. */
export type JobState = 'waiting' | 'retrying' | 'running' | 'done' | 'dead' | 'failed' | 'cancelled'

/** One job of a queue, an event on its way to a subscriber, or one tick of a task. Times are ISO 8601. */
export interface Job {
  readonly id: string
  /** The task of the job: `<plugin>/<task>`, or `<plugin>/on/<event>` for an event. */
  readonly task: string
  readonly key: string | null
  /** A `failed` job is a tick whose run threw. It is not retried; the next tick runs as usual. */
  readonly state: JobState
  /** The number of the running or last attempt; 0 before the first. */
  readonly attempt: number
  readonly attemptsMax: number
  readonly sentAt: string
  /** The earliest time at which the job may run. */
  readonly dueAt: string
  readonly startedAt: string | null
  readonly endedAt: string | null
  /** The duration of the last attempt, once it has ended. */
  readonly durationMs: number | null
  /** The error of the last failed attempt; at most 2,000 characters. */
  readonly error: string | null
  /**
   * The number of jobs with the same key that wait until this job is retried or discarded; 0 unless this job is dead.
   */
  readonly holdsBack: number
}

export interface JobFilter {
  /** A plugin's id. */
  plugin?: string | undefined
  /** The task, in the form of `Job.task`. */
  task?: string | undefined
  state?: JobState | undefined
  /** The maximum number of jobs, most recently sent first. The default is 100, the maximum 1,000. */
  limit?: number | undefined
}

/** The part of the resource `host` for background work. It covers the jobs of all plugins and replicas. */
export interface TaskOperation {
  jobs (filter?: JobFilter): Promise<readonly Job[]>
  /**
   * Runs a dead or cancelled job once more. Rejects with `NotFound` for an unknown job, and with `Conflict` for a job
   * in another state.
   */
  retryJob (id: string): Promise<Job>
  /**
   * Removes a job that has not begun from its queue, aborts a running job (its completion is refused), or discards a
   * dead one. Rejects with `Conflict` when the job has already ended.
   */
  cancelJob (id: string): Promise<Job>
  /**
   * Runs a tick of a task (`<plugin>/<task>`) now. Rejects with `NotFound` when this replica has no such task, and with
   * `Conflict` while a run of the task waits or runs.
   */
  runTask (task: string): Promise<Job>
  /**
   * Cleans up after a plugin that is removed permanently: it gets no more events, and the jobs that wait in its queues
   * are cancelled. Resolves with the cancelled jobs, the first 1,000 of them. Rejects with `Conflict` while this
   * replica has the plugin. If another replica has it, that replica subscribes it to events again at its next start.
   */
  forgetPlugin (plugin: string): Promise<readonly Job[]>
}

/**
 * A job or an event does not fit the schema of the handler that got it. The host recognizes this error by its code,
 * whatever copy of the class it was made with.
 */
export class InputUnfit extends TypeError {
  static readonly code = 'BULKHEAD_INPUT_UNFIT'
  readonly code = InputUnfit.code
  override readonly name = 'InputUnfit'
}
