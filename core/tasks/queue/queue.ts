// Describes the queues that tasks use: stored jobs, and claims of jobs, each by one replica at a time. `pg-boss-queues.ts` provides them.

import { ServiceUnavailable, ValidationFailed, type Transaction } from '../../contract/index.ts'

/** How the queue reaches the database. */
export interface QueueConnections {
  /** The class that pg's pool connects with. */
  readonly Client: new () => object
  /** Calls `onNotification` with the payload, or without one when a notification may have been missed. */
  listen (channel: string, onNotification: (payload?: string) => void): Promise<{ close (): Promise<void> }>
}

export interface QueueSettings {
  readonly connections: QueueConnections
  readonly maxConnections: number
  /** Hours that finished jobs stay in the database. */
  readonly historyHours: number
}

/** One attempt at a job, as this replica claimed it. pg-boss settles it only while no other attempt has begun. */
export interface Claim {
  readonly queue: string
  readonly id: string
  /** 0 for the first attempt. */
  readonly retryCount: number
  readonly retryLimit: number
  readonly input: unknown
  /** Version of the plugin at the time it sent the job. */
  readonly sentBy: string | undefined
  /** How often the job was given back, which does not count as an attempt. */
  readonly returns: number
  /** True when the previous attempt was lost: its replica fell silent, or did not settle it in time. */
  readonly wasLost: boolean
}

/** `exclusive`: only one job waits or runs in the whole cluster. `key_strict_fifo`: jobs with one key run one by one, in the order they were sent. */
export type Policy = 'standard' | 'exclusive' | 'key_strict_fifo'

export interface NewJob {
  readonly id?: string
  readonly input?: unknown
  readonly version?: string | undefined
  /** The plugin on whose turn the send waits for a connection; by default the plugin that owns the queue. */
  readonly sender?: string
  readonly key?: string | undefined
  readonly afterMs?: number
  readonly priority?: number
  readonly retryLimit: number
  /** pg-boss gives the job to another replica when it is not settled within this time, even if heartbeats still arrive. */
  readonly expireMs: number
}

export interface Queues {
  /** Creates the queue if it does not exist. */
  ensure (name: string, policy: Policy): Promise<void>
  /** Returns the job's id; undefined when a job with this id exists or, in an exclusive queue, another job waits or runs. */
  send (name: string, job: NewJob, tx?: Transaction): Promise<string | undefined>
  claim (name: string, count: number): Promise<Claim[]>
  /** `complete` and `touch` return the claims that this replica still owned. */
  complete (name: string, claims: readonly Claim[], output?: object): Promise<ReadonlySet<Claim>>
  touch (name: string, claims: readonly Claim[]): Promise<ReadonlySet<Claim>>
  /** Completes the job in the transaction; returns false when the claim is lost, and then the transaction must not commit. */
  completeIn (tx: Transaction, claim: Claim): Promise<boolean>
  /** Counts the attempt as failed. The next attempt starts after `retryInMs` at the earliest; after the last attempt the job is dead. */
  fail (claim: Claim, message: string, retryInMs: number): Promise<void>
  /** Returns the jobs to the queue at once and adds one attempt to each, so that this one does not count. */
  giveBack (name: string, claims: readonly Claim[], message: string): Promise<void>
  /** Like `giveBack` for one job, which can be claimed again only after `afterMs`. */
  defer (claim: Claim, message: string, afterMs: number): Promise<void>
  /**
   * Like `giveBack`, for jobs that were lost before and did not begin in this attempt. They stay marked as lost, and each comes back a little
   * later than the one before it.
   */
  putOff (name: string, claims: readonly Claim[]): Promise<void>
  /** Returns those of these queues that have a job that is due. */
  findDue (names: readonly string[]): Promise<readonly string[]>
  /** Fails attempts in these queues whose replica has been silent for too long or whose time is over, so that other replicas can claim the jobs. */
  failLost (names: readonly string[]): Promise<void>
  /**
   * Returns the names of the queues that subscribe to the event, as the transaction sees them. Without a transaction, the query waits for a
   * connection on a turn of the publishing plugin.
   */
  subscribers (event: string, plugin: string, tx?: Transaction): Promise<readonly string[]>
  /** Sets the subscriptions of all queues whose names begin with `prefix` to `events` (event → queue) and removes their other ones. */
  setSubscriptions (prefix: string, events: ReadonlyMap<string, string>): Promise<void>
  /**
   * Calls `wake` with a queue's name when the queue has a job that may run, or with undefined when a notification may have been missed.
   * The returned function ends this.
   */
  onJob (wake: (queue: string | undefined) => void): () => void
  /** The database's time in milliseconds. */
  now (): Promise<number>
  query (text: string, values: readonly unknown[]): Promise<readonly Record<string, unknown>[]>
  retry (name: string, id: string): Promise<void>
  resume (name: string, id: string): Promise<void>
  cancel (name: string, id: string | string[]): Promise<void>
  discard (name: string, id: string): Promise<void>
  check (signal: AbortSignal): Promise<void>
  close (): Promise<void>
}

/** Throws `ServiceUnavailable` when the database is unavailable and `ValidationFailed` when it refused a value, and rethrows any other error. */
export function refuseAway (cause: unknown): never {
  const { code = '' } = cause as { code?: unknown }
  const isAway = typeof code === 'string' && /^(08...|25006|57P..|53...|ECONN\w+|EPIPE|ETIMEDOUT|ENOTFOUND)$/.test(code)
  if (isAway || /timeout|terminated|not opened/i.test(Error.isError(cause) ? cause.message : '')) throw new ServiceUnavailable('The task queue is unavailable.', { cause })
  if (typeof code === 'string' && code.startsWith('22')) throw new ValidationFailed([], { cause, message: 'A value is not one that the task queue can store.' })
  throw cause
}
