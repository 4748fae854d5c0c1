// Lets an operator see the jobs of all plugins and replicas (waiting, running, ended or dead), and retry, cancel, run or forget them.

import { Conflict, NotFound, type Job, type JobFilter, type JobState, type TaskOperation } from '../../contract/index.ts'
import { isStorable } from '../../contract/text.ts'
import { refuseAway, type Queues } from './queue.ts'
import { eventQueue, keyedQueue } from './task-definition.ts'

interface TaskOperationDeps {
  readonly queues: () => Promise<Queues>
  /** Queues a run now; returns undefined when a run waits or is under way. Throws `NotFound` for a task that this replica does not have. */
  readonly runNow: (task: string) => Promise<string | undefined>
  /** Whether this replica runs the plugin's tasks. */
  readonly hasPlugin: (plugin: string) => boolean
}

const limitUnlessSaid = 100
const limitMax = 1_000

/** SQL condition for each state. A tick whose run threw is completed in pg-boss, with its error as output, because it is not retried. */
const states: Record<JobState, string> = {
  waiting: 'state = \'created\'',
  retrying: 'state = \'retry\'',
  running: 'state = \'active\'',
  done: 'state = \'completed\' AND output IS NULL',
  failed: 'state = \'completed\' AND output IS NOT NULL',
  dead: 'state = \'failed\'',
  cancelled: 'state = \'cancelled\''
}
const stateOf = `CASE ${Object.entries(states).map(([state, holds]) => `WHEN ${holds} THEN '${state}'`).join(' ')} END AS state`
/** Counts the jobs that wait behind a dead job with the same key. A job without a key holds back none, and no index would serve the count. */
const holdsBack = `CASE WHEN state = 'failed' AND policy = 'key_strict_fifo' THEN (
    SELECT count(*) FROM pgboss.job w WHERE w.name = j.name AND w.singleton_key = j.singleton_key AND w.state < 'active'
  ) ELSE 0 END AS holds_back`
const columns = `id, name, singleton_key, ${stateOf}, retry_count, retry_limit, created_on, start_after, started_on, completed_on,
  coalesce(output->>'message', output->'value'->>'message') AS error, ${holdsBack}`

export function createTaskOperation ({ queues, runNow, hasPlugin }: TaskOperationDeps): TaskOperation {
  const find = async (id: string): Promise<{ job: Job, queue: string }> => {
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) throw new NotFound('There is no such job.')
    const [row] = await (await queues()).query(
      `SELECT j.* FROM pgboss.queue q CROSS JOIN LATERAL (SELECT ${columns} FROM pgboss.job j WHERE name = q.name AND id = $1::uuid) j`, [id]).catch(refuseAway)
    if (row === undefined) throw new NotFound('There is no such job.')
    return { job: readJob(row), queue: String(row.name) }
  }

  return {
    async jobs ({ plugin, task, state, limit = limitUnlessSaid }: JobFilter = {}) {
      // No plugin and no task has a name that the database cannot store.
      if (![plugin, task].every(name => name === undefined || isStorable(name))) return []
      const values: unknown[] = []
      const conditions = ['true']
      const add = (condition: (place: string) => string, value: unknown): void => { conditions.push(condition(`$${values.push(value)}`)) }
      if (plugin !== undefined) add(place => `starts_with(name, ${place})`, `${plugin}/`)
      if (task !== undefined) add(place => `name = any(${place}::text[])`, [task, keyedQueue(task)])
      const newest = `ORDER BY created_on DESC, id LIMIT ${Math.min(Math.max(1, Math.trunc(limit)), limitMax)}`
      const where = conditions.join(' AND ')
      // Most jobs are done, so the newest ones of each queue are found quickly in index order. Jobs in the other states are few.
      const isCommon = state === undefined || state === 'done'
      const rows = await (await queues()).query(isCommon
        ? `SELECT j.* FROM (SELECT name FROM pgboss.queue WHERE ${where}) q CROSS JOIN LATERAL (
            SELECT ${columns} FROM pgboss.job j WHERE j.name = q.name AND ${state === undefined ? 'true' : states[state]} ${newest}
          ) j ${newest}`
        : `SELECT ${columns} FROM pgboss.job j WHERE ${states[state]} AND ${where} ${newest}`, values).catch(refuseAway)
      return rows.map(readJob)
    },
    async retryJob (id) {
      const { job, queue } = await find(id)
      if (job.state === 'dead') await (await queues()).retry(queue, id)
      else if (job.state === 'cancelled') await (await queues()).resume(queue, id)
      else throw new Conflict(`The job is ${job.state}: only one that is dead or cancelled can be retried.`)
      return (await find(id)).job
    },
    async cancelJob (id) {
      const { job, queue } = await find(id)
      if (['waiting', 'retrying', 'running'].includes(job.state)) {
        await (await queues()).cancel(queue, id)
        return (await find(id)).job
      }
      if (job.state !== 'dead') throw new Conflict(`The job is ${job.state}: there is nothing to cancel.`)
      await (await queues()).discard(queue, id)
      return { ...job, state: 'cancelled', holdsBack: 0 }
    },
    async runTask (task) {
      const id = await runNow(task)
      if (id === undefined) throw new Conflict(`A run of "${task}" waits or goes on already.`)
      return (await find(id)).job
    },
    async forgetPlugin (plugin) {
      if (hasPlugin(plugin)) throw new Conflict(`The plugin "${plugin}" is at work here: disable or remove it first.`)
      if (!isStorable(plugin)) return []
      const open = await queues()
      await open.setSubscriptions(eventQueue(plugin, ''), new Map()).catch(refuseAway)
      const forgotten: Job[] = []
      for (;;) {
        const rows = await open.query(
          `SELECT ${columns} FROM pgboss.job j WHERE starts_with(name, $1) AND state < 'active' LIMIT ${limitMax}`, [`${plugin}/`]).catch(refuseAway)
        if (rows.length === 0) return forgotten
        for (const [queue, ids] of Map.groupBy(rows, ({ name }) => String(name))) await open.cancel(queue, ids.map(({ id }) => String(id)))
        forgotten.push(...rows.slice(0, limitMax - forgotten.length).map(row => ({ ...readJob(row), state: 'cancelled' as const })))
      }
    }
  }
}

function readJob (row: Readonly<Record<string, unknown>>): Job {
  const time = (name: string): string | null => row[name] instanceof Date ? row[name].toISOString() : null
  const [startedAt, endedAt] = [time('started_on'), time('completed_on')]
  const name = String(row.name)
  const attempts = Number(row.retry_count)
  return {
    id: String(row.id),
    task: name.endsWith('/keyed') ? name.slice(0, -'/keyed'.length) : name,
    key: typeof row.singleton_key === 'string' ? row.singleton_key : null,
    state: row.state as JobState,
    attempt: startedAt === null ? 0 : attempts + 1,
    attemptsMax: Number(row.retry_limit) + 1,
    sentAt: time('created_on') ?? '',
    dueAt: time('start_after') ?? '',
    startedAt,
    endedAt,
    durationMs: startedAt === null || endedAt === null ? null : Math.max(0, Date.parse(endedAt) - Date.parse(startedAt)),
    error: typeof row.error === 'string' ? row.error : null,
    holdsBack: Number(row.holds_back)
  }
}
