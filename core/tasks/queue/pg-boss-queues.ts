// Wraps pg-boss, which stores the jobs, hands each to one replica, and to another when that one dies. Only this file uses pg-boss.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PgBoss, SendOptions } from 'pg-boss'
import { createLimit, type Limit } from '../../concurrency/limit.ts'
import { untilAborted } from '../../concurrency/until-aborted.ts'
import { ServiceUnavailable, sql, type Clock, type Log, type Transaction } from '../../contract/index.ts'
import type { Claim, Queues, QueueSettings } from './queue.ts'

type IDatabase = ReturnType<PgBoss['getDb']>

/** A replica that sends no heartbeat for this long loses its claims. 10 is the minimum of pg-boss. */
const heartbeatSeconds = 10
/** pg-boss counts the jobs of its queues and searches all stored jobs for unsettled ones, which is too expensive every two seconds. */
const superviseSeconds = 60
const lostAtOnceMax = 1_000
/** The row of a tick prevents a second run of the same tick, so it must be stored longer than any difference between two replicas' clocks. */
const leastKeptSeconds = 3_600
/** A job that no replica claims for this long is deleted. */
const waitSeconds = 30 * 86_400
const idleMs = 60_000
/** Pause before a call that the server had no connection for is made again. */
const refusedMs = 100
const putOffMs = 200
const putOffStepMs = 50
const callTimeoutMs = 10_000
/** pg-boss may look up a queue through the pool while one of our transactions holds a connection of that pool. */
const connectionsMin = 2
/** Upper limit for the stop of pg-boss: half of the default stop budget of a resource (`PLATFORM_STOP_BUDGET_MS`, 10 s). */
const closeTimeoutMs = 5_000
const schema = 'pgboss'
/** Channel on which pg-boss notifies about new jobs, derived from the schema in the same way as pg-boss does. */
const channel = `pgboss_${createHash('sha224').update(schema).digest('hex').slice(0, 24)}`

/** Imports pg-boss, connects, and brings the schema `pgboss` up to date. */
export async function openQueues (
  { connections, maxConnections, historyHours }: QueueSettings, { log, clock }: { log: Log, clock: Clock }
): Promise<Queues> {
  const { PgBoss } = await import('pg-boss')
  // `Client` and the two options after it are for the underlying pool.
  const options = {
    Client: connections.Client,
    connectionTimeoutMillis: callTimeoutMs,
    idleTimeoutMillis: idleMs,
    max: Math.max(connectionsMin, maxConnections),
    schema,
    schedule: false,
    registerInstance: false,
    superviseIntervalSeconds: superviseSeconds,
    monitorIntervalSeconds: superviseSeconds,
    maintenanceIntervalSeconds: 600,
    queueCacheIntervalSeconds: 30
  }
  const boss = new PgBoss(options)
  boss.on('error', err => { if (!isRetired(err)) log.error({ err }, 'a call of the task queue failed') })
  boss.on('warning', ({ message, data }) => log.warn({ data }, message))
  const listeners = new Set<(queue: string | undefined) => void>()
  const tell = (queue?: string): void => { for (const listener of listeners) listener(queue) }
  try {
    waitForPlaces(boss.getDb())
    await boss.start()
    // While this connection is lost, polling finds the jobs.
    const listening = await connections.listen(channel, tell)
    return createQueues(boss, { keepSeconds: Math.max(historyHours * 3_600, leastKeptSeconds), connections: options.max, clock }, {
      add: listener => { listeners.add(listener); return () => { listeners.delete(listener) } },
      close: () => listening.close()
    })
  } catch (cause) {
    await boss.stop({ graceful: false })
    throw new Error('The task queue did not start: its schema "pgboss" could not be read or brought up to date', { cause })
  }
}

/** The pool replaced this connection, because its server takes no writes any more. */
const isRetired = (error: unknown): boolean => (error as { code?: unknown }).code === 'BULKHEAD_CONNECTION_RETIRED'

/**
 * A call for which the server has no further connection has not begun: it is made again, on the connection of the pool
 * that is free first.
 */
function waitForPlaces (db: IDatabase): void {
  const again = async <T>(call: () => Promise<T>): Promise<T> => {
    for (const giveUpAt = performance.now() + callTimeoutMs; ;) {
      try {
        return await call()
      } catch (error) {
        if ((error as { code?: unknown }).code !== '53300' || performance.now() >= giveUpAt) throw error
        await sleep(refusedMs)
      }
    }
  }
  const { executeSql, beginTransaction } = db
  db.executeSql = (...args) => again(() => executeSql.apply(db, args))
  if (beginTransaction !== undefined) db.beginTransaction = () => again(() => beginTransaction.call(db))
}

/**
 * Reads a cron expression with pg-boss's own parser, in UTC. The returned function finds the first `count` times after `afterMs`, or fewer when
 * that takes a second; it throws a sentence about an expression that is malformed or never due.
 */
export async function readWallTimes (cron: string): Promise<(afterMs: number, count: number) => readonly number[]> {
  const { PgBoss } = await import('pg-boss')
  const parser = new PgBoss({ connectionString: 'postgres://never-connected' })
  return (afterMs, count) => parser.previewSchedule(cron, { tz: 'UTC', from: new Date(afterMs), count }).map(at => at.getTime())
}

interface News {
  add (listener: (queue: string | undefined) => void): () => void
  close (): Promise<void>
}

interface QueuesDeps { readonly keepSeconds: number, readonly connections: number, readonly clock: Clock }

function createQueues (boss: PgBoss, { keepSeconds, connections, clock }: QueuesDeps, news: News): Queues {
  const db = boss.getDb()
  // Each of the two leaves one connection free: a flood of sends, or of failed runs, must not delay heartbeats until all claims are lost.
  const createPlaces = (): Limit => createLimit({
    clock, atOnce: connections - 1, waitingMax: Infinity, waitMs: callTimeoutMs,
    refusal: () => new ServiceUnavailable('There are more calls to the task queue than it can take at the moment. Try again later.', { retryAfterMs: callTimeoutMs })
  })
  const sending = createPlaces()
  const transacting = createPlaces()
  /** Each queue is created once per process; concurrent callers wait for the same call. */
  const made = new Map<string, Promise<void>>()

  const inTransaction = (plugin: string, work: (tx: IDatabase) => Promise<void>): Promise<void> => transacting.run(async () => {
    // pg-boss's own pool always has `beginTransaction`.
    const transaction = await db.beginTransaction?.()
    if (transaction === undefined) throw new Error('pg-boss has no pool of its own')
    try {
      await work(transaction.db)
    } catch (error) {
      await transaction.rollback()
      throw error
    }
    await transaction.commit()
  }, { line: plugin })
  const settled = (claims: readonly Claim[], response: unknown): ReadonlySet<Claim> => {
    const ids = new Set((response as { settled?: readonly string[] }).settled)
    return new Set(claims.filter(({ id }) => ids.has(id)))
  }

  const giveBack = async (name: string, claims: readonly Claim[], output: object, through: IDatabase): Promise<ReadonlySet<Claim>> => {
    const back = settled(claims, await boss.fail(name, claims.map(attemptOf), output, { db: through }))
    for (const { id, retryCount, retryLimit } of back) {
      if (retryCount >= retryLimit) await boss.retry(name, id, { db: through })
      else await boss.update(name, undefined, { id, retryLimit: retryLimit + 1, db: through })
    }
    return back
  }

  return {
    ensure: (name, policy) => {
      const making = made.get(name) ?? boss.createQueue(name, { policy, notify: policy !== 'exclusive' }).catch((error: unknown) => {
        made.delete(name)
        throw error
      })
      made.set(name, making)
      return making
    },

    send: async (name, { id, input, version, key, afterMs, priority, retryLimit, expireMs, sender = pluginOf(name) }, tx) => {
      const options: SendOptions = {
        retryLimit,
        retryDelay: 0,
        expireInSeconds: Math.ceil(expireMs / 1_000),
        heartbeatSeconds,
        retentionSeconds: waitSeconds,
        deleteAfterSeconds: keepSeconds,
        ...id !== undefined && { id },
        ...key !== undefined && { singletonKey: key },
        ...priority !== undefined && { priority },
        ...afterMs !== undefined && { startAfter: afterMs / 1_000 },
        ...tx !== undefined && { db: asDatabase(tx) }
      }
      const data: JobData = { input, retryLimit, ...version !== undefined && { version }, ...priority !== undefined && { priority } }
      if (key === undefined) {
        const put = async (): Promise<string | undefined> => await boss.send(name, data, options) ?? undefined
        return tx === undefined ? sending.run(put, { line: sender }) : put()
      }
      // pg-boss dates a job by the start of its transaction. When one transaction waits for another, that differs from the order in which they
      // sent their jobs, so the job is dated by the current time instead.
      const sendAt = async (through: IDatabase): Promise<string | undefined> => {
        const sent = await boss.send(name, data, { ...options, db: through }) ?? undefined
        await through.executeSql(`UPDATE ${schema}.job SET created_on = clock_timestamp() WHERE name = $1 AND id = $2::uuid`, [name, sent])
        return sent
      }
      if (tx !== undefined) return sendAt(asDatabase(tx))
      let sent: string | undefined
      await inTransaction(sender, async through => { sent = await sendAt(through) })
      return sent
    },

    claim: async (name, count) => {
      // Fetching all metadata would double the cost of a claim. Only jobs with earlier attempts need it, so it is read for them alone.
      const claimed = await boss.fetch<JobData | null>(name, { batchSize: count })
      // pg-boss claims the jobs with the highest priority, but returns them in no order.
      const jobs = claimed.toSorted((a, b) => (b.data?.priority ?? 0) - (a.data?.priority ?? 0))
      const tried = jobs.filter(({ retryCount, data }) => retryCount > 0 || data?.retryLimit === undefined).map(({ id }) => id)
      const known = tried.length === 0 ? [] : (await db.executeSql(
        `SELECT id, retry_limit, output FROM ${schema}.job WHERE name = $1 AND id = ANY($2::uuid[])`, [name, tried])).rows as Tried[]
      const triedOf = new Map(known.map(each => [each.id, each]))
      return jobs.map(({ id, retryCount, data }) => {
        const { retry_limit: retryLimit = data?.retryLimit ?? 0, output } = triedOf.get(id) ?? {}
        const { input, version: sentBy, retryLimit: sentLimit = retryLimit } = data ?? {}
        return { queue: name, id, retryCount, retryLimit, input, sentBy, returns: retryLimit - sentLimit, wasLost: retryCount > 0 && isLoss(output) }
      })
    },
    complete: async (name, claims, output) => settled(claims, await boss.complete(name, claims.map(attemptOf), output ?? null)),
    touch: async (name, claims) => settled(claims, await boss.touch(name, claims.map(attemptOf))),
    completeIn: async (tx, claim) => settled([claim], await boss.complete(claim.queue, [attemptOf(claim)], null, { db: asDatabase(tx) })).has(claim),

    fail: async (claim, message, retryInMs) => {
      const { queue, id, retryCount, retryLimit } = claim
      if (retryCount >= retryLimit) {
        await boss.fail(queue, [attemptOf(claim)], { message })
        return
      }
      // pg-boss's own retry delay is not used: it would also delay the jobs of a dead replica, which other replicas must be able to claim at once.
      await inTransaction(pluginOf(queue), async through => {
        const lost = !settled([claim], await boss.fail(queue, [attemptOf(claim)], { message }, { db: through })).has(claim)
        if (!lost) await boss.update(queue, undefined, { id, startAfter: retryInMs / 1_000, db: through })
      })
    },

    giveBack: async (name, claims, message) => {
      await inTransaction(pluginOf(name), async through => {
        await giveBack(name, claims, { message }, through)
        await through.executeSql('SELECT pg_notify($1, $2)', [channel, name])
      })
    },
    defer: async (claim, message, afterMs) => {
      await inTransaction(pluginOf(claim.queue), async through => {
        const back = await giveBack(claim.queue, [claim], { message }, through)
        if (back.has(claim)) await boss.update(claim.queue, undefined, { id: claim.id, startAfter: afterMs / 1_000, db: through })
      })
    },
    putOff: async (name, claims) => {
      await inTransaction(pluginOf(name), async through => {
        let afterMs = putOffMs
        for (const { id } of await giveBack(name, claims, lossOutput, through)) {
          await boss.update(name, undefined, { id, startAfter: afterMs / 1_000, db: through })
          afterMs += putOffStepMs
        }
      })
    },

    // Both queries use the index of unfinished jobs, so the size of the stored history does not matter.
    findDue: async names => {
      const { rows } = await db.executeSql(`
        SELECT name FROM unnest($1::text[]) AS queue (name) WHERE EXISTS (
          SELECT FROM ${schema}.job WHERE job.name = queue.name AND state IN ('created', 'retry') AND NOT blocked AND start_after <= now()
        )`, [names])
      return rows.map(({ name }: { name: string }) => name)
    },
    failLost: async names => {
      const { rows } = await db.executeSql(`
        SELECT name, id, retry_count AS "retryCount" FROM ${schema}.job
        WHERE name = ANY($1::text[]) AND state = 'active' AND (
          heartbeat_on + heartbeat_seconds * interval '1 s' < now() OR started_on + expire_seconds * interval '1 s' < now()
        ) LIMIT ${lostAtOnceMax}`, [names])
      for (const [name, lost] of Map.groupBy(rows as { name: string, id: string, retryCount: number }[], row => row.name)) {
        // The call names the attempt, so of several replicas that find the same lost job only one fails it.
        await boss.fail(name, lost.map(({ id, retryCount }) => ({ id, retryCount })), lossOutput)
      }
    },

    subscribers: async (event, plugin, tx) => {
      const ask = (through: IDatabase) => through.executeSql(`SELECT name FROM ${schema}.subscription WHERE event = $1 ORDER BY name`, [event])
      const { rows } = await (tx === undefined ? sending.run(() => ask(db), { line: plugin }) : ask(asDatabase(tx)))
      return rows.map(({ name }: { name: string }) => name)
    },
    setSubscriptions: async (prefix, events) => {
      for (const [event, queue] of events) await boss.subscribe(event, queue)
      const { rows } = await db.executeSql(`SELECT event, name FROM ${schema}.subscription WHERE starts_with(name, $1)`, [prefix])
      for (const { event, name } of rows as { event: string, name: string }[]) if (events.get(event) !== name) await boss.unsubscribe(event, name)
    },

    onJob: wake => news.add(wake),
    now: async () => Number(((await db.executeSql('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now')).rows[0] as { now: unknown }).now),
    query: async (text, values) => (await db.executeSql(text, [...values])).rows as Record<string, unknown>[],
    retry: async (name, id) => { await boss.retry(name, id); await notify(db, name) },
    resume: async (name, id) => { await boss.resume(name, id); await notify(db, name) },
    cancel: async (name, id) => { await boss.cancel(name, id) },
    discard: async (name, id) => { await boss.deleteJob(name, id) },
    check: async signal => { await untilAborted(signal, db.executeSql('SELECT 1')) },
    close: async () => {
      try {
        await news.close()
      } finally {
        await boss.stop({ graceful: true, timeout: closeTimeoutMs })
      }
    }
  }
}

/**
 * A job's data as it is stored. It repeats limit and priority, because a claim does not contain them; pg-boss's own limit may be higher once the
 * job has been tried.
 */
interface JobData { readonly input?: unknown, readonly retryLimit?: number, readonly version?: string, readonly priority?: number }
interface Tried { readonly id: string, readonly retry_limit: number, readonly output: unknown }

/** pg-boss writes such an output for a job whose replica was silent or did not settle it in time. An error of a handler has another shape. */
const lossOutput = { value: { message: 'job heartbeat timeout' } }
const losses: readonly unknown[] = [lossOutput.value.message, 'job timed out']
const isLoss = (output: unknown): boolean => losses.includes((output as { value?: { message?: unknown } } | null)?.value?.message)

/** Queues are called `<plugin>/<task>`. */
const pluginOf = (queue: string): string => queue.slice(0, queue.indexOf('/'))

const attemptOf = ({ id, retryCount }: Claim): { id: string, retryCount: number } => ({ id, retryCount })

async function notify (db: IDatabase, queue: string): Promise<void> {
  await db.executeSql('SELECT pg_notify($1, $2)', [channel, queue])
}

/** Runs pg-boss's statements through the transaction of a plugin, so that the plugin's fence applies to them, too. */
function asDatabase (tx: Transaction): IDatabase {
  return {
    executeSql: async (text, values = []) => {
      const query = { ...sql.unsafe`SELECT`, sql: text, values: values as never }
      const { rows } = await tx.query(query)
      return { rows: [...rows] }
    }
  }
}
