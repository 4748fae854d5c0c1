// How a plugin declares work that runs without a request, and hands work over to it.

import type { z } from 'zod'
import type { Duration } from './duration.ts'
import type { Log } from './log.ts'
import type { Transaction } from './postgres.ts'

export interface TaskRun {
  /** Of the job: the same in every attempt, so an effect outside Postgres is made once under this name. */
  readonly id: string
  /** Names this attempt, and fences it: once another attempt has begun, nothing of this one counts any more. */
  readonly attemptId: string
  /** 1 for the first. */
  readonly attempt: number
  /**
   * Aborts when the time is up, when the plugin ends, and when another replica has taken the job over. After the plugin's end a run still has the
   * drain to finish in; what has not finished by then goes back at once and is run again.
   */
  readonly signal: AbortSignal
  readonly log: Log
  /**
   * A transaction that begins with its first statement and commits together with the completion: what is done through it is done exactly once,
   * whatever dies or freezes. It rolls back when the handler throws. Needs `postgres` in the manifest's resources. Left idle for 15 s it is
   * rolled back, so that a frozen replica holds no locks: make calls to others before the first statement.
   */
  readonly tx: Transaction
}

export type TaskHandler = (run: TaskRun) => void | Promise<void>

export interface TaskOptions {
  /** `cluster` (unless said): one run a tick among all replicas. `replica`: each replica for itself, and not in the history. */
  once?: 'cluster' | 'replica'
  /** A duration (`'30s'`, `'5m'`, or milliseconds) after which a run is aborted and counts as failed. 60 s unless said. */
  timeout?: Duration
}

export interface CronOptions extends TaskOptions {
  /** An IANA name such as `Europe/Paris`; UTC by default. A time that the zone repeats is due once; one that it leaves out is due as much later. */
  timezone?: string
}

export interface QueueOptions<Input extends z.ZodType = z.ZodType> {
  /** What is sent is checked against it as JSON, at the send and again before the handler, which gets what it makes of that. */
  input: Input
  /**
   * How often a failed job is tried again (5 times unless said), and after how long: `exponential` (unless said) doubles `delay` (1 s) up to an hour,
   * `fixed` keeps it. After that it is a dead letter, kept with its error until it is retried or discarded by hand.
   */
  retry?: { limit?: number, backoff?: 'exponential' | 'fixed', delay?: Duration }
  /** For one attempt. 60 s unless said, at most a day. */
  timeout?: Duration
  /** Jobs of this queue at a time, in each replica: 4 unless said. */
  concurrency?: number
}

export interface QueueRun<Input = unknown> extends TaskRun {
  readonly input: Input
}

export type QueueHandler<Input = unknown> = (run: QueueRun<Input>) => void | Promise<void>

export interface SendOptions {
  /** The caller's transaction: the job is there if and only if it commits. */
  in?: Transaction
  /**
   * Jobs of one key run one at a time, in the order they were sent. One that failed holds back those behind it until it succeeds, is discarded by
   * hand, or is forgotten with the history (`PLATFORM_TASKS_HISTORY_HOURS`). 1 to 200 characters.
   */
  key?: string
  /** Not before this has passed. Among jobs of one key it counts from then. */
  after?: Duration
  /** The highest first; 0 unless said. Not among jobs of one key. */
  priority?: number
}

/**
 * Task names are unique within a plugin: lower case, digits and dashes. At least once: a run whose replica died or froze is run again by another
 * within 20 s, and what the first one does through `tx` after that is refused. An effect elsewhere may happen twice.
 *
 * A replica works only what its own version of the plugin declares: one that has not the plugin, or not the task, claims nothing of it. While two
 * versions are at work (a rolling update), a task of both is one task: each tick is one run, by either version. Where they differ in when it is due,
 * the ticks of both count until the older one has gone. So the newer version must take what the older one sent; what the older one cannot take of
 * the newer is told at `queue`.
 */
export interface Tasks {
  every (name: string, interval: Duration, handler: TaskHandler): void
  every (name: string, interval: Duration, options: TaskOptions, handler: TaskHandler): void
  /** Five fields: minute, hour, day of month, month, day of week. */
  cron (name: string, expression: string, handler: TaskHandler): void
  cron (name: string, expression: string, options: CronOptions, handler: TaskHandler): void
  /**
   * Works what is sent under this name, in every replica that has the plugin. An input that does not fit counts as a failed attempt; unless a newer
   * version of the plugin sent it than the one that got it: then it goes back for a replica that has that, uncounted, for about an hour.
   */
  queue<Input extends z.ZodType> (name: string, options: QueueOptions<Input>, handler: QueueHandler<z.output<Input>>): void
  /**
   * Hands a job to a queue of this plugin; resolves with the job's id. Of any size up to 1 MB as JSON: what is larger belongs into the storage.
   * `ValidationFailed` when the input does not fit, `ServiceUnavailable` when the database is away.
   */
  send (name: string, input: unknown, options?: SendOptions): Promise<string>
}

interface DeclaredTask {
  readonly name: string
}

/** A declared task as the host keeps it. */
export type TaskRecord =
  | DeclaredTask & { readonly kind: 'every', readonly interval: Duration, readonly options: TaskOptions, readonly handler: TaskHandler }
  | DeclaredTask & { readonly kind: 'cron', readonly expression: string, readonly options: CronOptions, readonly handler: TaskHandler }
  | DeclaredTask & {
    readonly kind: 'queue'
    readonly options: QueueOptions
    readonly handler: QueueHandler
    /** Of the plugin that declares it. */
    readonly version?: string
  }
  /** Of the event with this name. */
  | DeclaredTask & { readonly kind: 'event', readonly handler: QueueHandler }

/** `dead`: given up after its last attempt. */
export type JobState = 'waiting' | 'retrying' | 'running' | 'done' | 'dead' | 'failed' | 'cancelled'

/** One job of a queue, an event on its way to a subscriber, or one tick of a task. Times are ISO 8601. */
export interface Job {
  readonly id: string
  /** `<plugin>/<task>`, or `<plugin>/on/<event>`. */
  readonly task: string
  readonly key: string | null
  /** `failed` is a tick whose run threw: the next tick is its retry. */
  readonly state: JobState
  /** The one that runs, or the last one; 0 before the first. */
  readonly attempt: number
  readonly attemptsMax: number
  readonly sentAt: string
  /** Not before. */
  readonly dueAt: string
  readonly startedAt: string | null
  readonly endedAt: string | null
  /** Of the last attempt, once it has ended. */
  readonly durationMs: number | null
  /** Of the last attempt that failed; at most 2,000 characters. */
  readonly error: string | null
  /** How many jobs of its key wait for it to be retried or discarded; 0 unless it is dead. */
  readonly holdsBack: number
}

export interface JobFilter {
  /** A plugin's id. */
  plugin?: string | undefined
  /** As in `Job.task`. */
  task?: string | undefined
  state?: JobState | undefined
  /** At most, those sent last first; 100 unless said, at most 1,000. */
  limit?: number | undefined
}

/** Part of the resource `host`: what runs in the background, of all plugins and replicas. */
export interface TaskOperation {
  jobs (filter?: JobFilter): Promise<readonly Job[]>
  /** Runs what was given up or cancelled once more. `NotFound`, or `Conflict` when it is neither. */
  retryJob (id: string): Promise<Job>
  /**
   * Takes a job that has not begun out of its queue, aborts one that runs (its completion is refused), discards a dead one. `Conflict` when it is
   * over.
   */
  cancelJob (id: string): Promise<Job>
  /** Runs a tick of a task (`<plugin>/<task>`) now. `NotFound` when this replica has no such task; `Conflict` while a run of it waits or goes on. */
  runTask (task: string): Promise<Job>
  /**
   * For a plugin that is removed for good: it is told of no more events, and what waits in its queues is cancelled. Resolves with what was
   * cancelled, the first 1,000 of it. `Conflict` while this replica has the plugin; if another has it, it hears of events again from its next start.
   */
  forgetPlugin (plugin: string): Promise<readonly Job[]>
}
