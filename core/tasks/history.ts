// What runs, waits, ended and was given up, of all plugins and replicas, read from the queue; and what an operator does about it.

import { Conflict, NotFound, type Job, type JobFilter, type JobState, type TaskOperation } from '../contract/index.ts'
import { refuseAway, type Queues } from './queue.ts'
import { keyedQueue } from './plan.ts'

interface Parts {
  readonly queues: () => Promise<Queues>
  /** Puts a tick into the queue now; undefined when a run of it waits or goes on. `NotFound` for a task that this replica does not have. */
  readonly runNow: (task: string) => Promise<string | undefined>
}

const limitUnlessSaid = 100
const limitMax = 1_000

/** A tick whose run threw is completed for pg-boss, with what it said: it is not tried again. */
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
const columns = `id, name, singleton_key, ${stateOf}, retry_count, retry_limit, created_on, start_after, started_on, completed_on,
  coalesce(output->>'message', output->'value'->>'message') AS error`

export function createTaskOperation ({ queues, runNow }: Parts): TaskOperation {
  const find = async (id: string): Promise<{ job: Job, queue: string }> => {
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) throw new NotFound('There is no such job.')
    const [row] = await (await queues()).query(`SELECT ${columns} FROM pgboss.job WHERE id = $1::uuid`, [id]).catch(refuseAway)
    if (row === undefined) throw new NotFound('There is no such job.')
    return { job: readJob(row), queue: String(row.name) }
  }

  return {
    async jobs ({ plugin, task, state, limit = limitUnlessSaid }: JobFilter = {}) {
      const values: unknown[] = []
      const conditions = ['true']
      const add = (condition: (place: string) => string, value: unknown): void => { conditions.push(condition(`$${values.push(value)}`)) }
      if (plugin !== undefined) add(place => `starts_with(name, ${place})`, `${plugin}/`)
      if (task !== undefined) add(place => `name = any(${place}::text[])`, [task, keyedQueue(task)])
      if (state !== undefined) conditions.push(states[state])
      const rows = await (await queues()).query(
        `SELECT ${columns} FROM pgboss.job WHERE ${conditions.join(' AND ')} ORDER BY coalesce(started_on, created_on) DESC, id LIMIT ${Math.min(Math.max(1, Math.trunc(limit)), limitMax)}`, values).catch(refuseAway)
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
      return { ...job, state: 'cancelled' }
    },
    async runTask (task) {
      const id = await runNow(task)
      if (id === undefined) throw new Conflict(`A run of "${task}" waits or goes on already.`)
      return (await find(id)).job
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
    error: typeof row.error === 'string' ? row.error : null
  }
}
