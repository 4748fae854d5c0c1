// Jobs a second, and the time from the send to the start, beside bare pg-boss and graphile-worker, in interleaved rounds on one Postgres.
// `node test/bench/tasks.ts [jobs]`; 5,000 unless said.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import pg from 'pg'
import type { TestContext } from 'node:test'
import { createDatabase } from '../support/database.ts'
import { withDatabaseServer } from './context.ts'
import type { Answer, Question } from './task-peer.ts'

const concurrency = 100
const rounds = 3
const latencyJobs = 100

interface Contender { readonly name: string, readonly file: string, readonly setting: string }
const bulkhead: Contender = { name: 'bulkhead', file: 'peer-tasks-bulkhead.ts', setting: '' }
/** Each with the number of workers that suits it best is found among these. */
const bosses = [1, 2, 4].map((workers): Contender =>
  ({ name: `pg-boss, ${workers} × ${concurrency / workers}`, file: 'peer-tasks-boss.ts', setting: String(workers) }))
/** As bulkhead uses it: the dead are found by their silence, of which pg-boss on its own hears nothing. */
const withHeartbeat: Contender = { name: 'pg-boss, 2 × 50, with heartbeats', file: 'peer-tasks-boss.ts', setting: 'heartbeat' }
const contenders: readonly Contender[] = [
  ...bosses,
  withHeartbeat,
  { name: 'graphile-worker', file: 'peer-tasks-graphile.ts', setting: '-1' },
  { name: 'graphile-worker, local queue of 500', file: 'peer-tasks-graphile.ts', setting: '500' },
  bulkhead,
  { name: 'pg-boss, a transaction a job', file: 'peer-tasks-boss.ts', setting: 'tx' },
  { name: 'bulkhead, exactly once', file: 'peer-tasks-bulkhead.ts', setting: 'tx' }
]

type Samples = Record<'sent' | 'worked' | 'cpu' | 'latencies', number[]>

async function ask (t: TestContext, { file, setting }: Contender, question: Question): Promise<Answer> {
  const url = await createDatabase(t)
  if (setting === 'tx') await makeEffects(url)
  const child = fork(join(import.meta.dirname, file), [url, setting, String(concurrency)])
  try {
    await heard(child)
    child.send(question)
    return await heard(child) as Answer
  } finally {
    if (child.connected) {
      child.disconnect()
      await once(child, 'exit')
    }
  }
}

async function heard (child: ChildProcess): Promise<unknown> {
  const isOver = new AbortController()
  const gone = once(child, 'exit', isOver).then(() => { throw new Error(`${child.spawnargs.slice(1).join(' ')} ended by itself`) })
  try {
    return (await Promise.race([once(child, 'message', isOver), gone]))[0]
  } finally {
    gone.catch(() => undefined)
    isOver.abort()
  }
}

async function makeEffects (url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('create table effect (at int)')
  await client.end()
}

export async function benchTasks (jobs = 5_000): Promise<void> {
  console.log(`tasks: ${jobs} jobs that wait, ${concurrency} at a time, a handler that does nothing; then ${latencyJobs} jobs one by one`)
  console.log('where each job has a transaction with a row of its own and the completion: 8 at a time, a tenth of the jobs')
  const samples = new Map(contenders.map(({ name }): [string, Samples] => [name, { sent: [], worked: [], cpu: [], latencies: [] }]))
  await withDatabaseServer(async t => {
    for (let round = 0; round < rounds; round += 1) {
      for (const contender of contenders) {
        const own = samples.get(contender.name)
        const { sentPerSecond = NaN, jobsPerSecond = NaN, cpuUsPerJob = NaN } =
          await ask(t, contender, { kind: 'throughput', jobs: contender.setting === 'tx' ? jobs / 10 : jobs })
        const { latenciesMs = [] } = await ask(t, contender, { kind: 'latency', jobs: latencyJobs })
        own?.sent.push(sentPerSecond)
        own?.worked.push(jobsPerSecond)
        own?.cpu.push(cpuUsPerJob)
        own?.latencies.push(...latenciesMs)
      }
    }
  })
  const worked = (name: string): readonly number[] => samples.get(name)?.worked ?? []
  const best = bosses.map(({ name }) => name).toSorted((a, b) => median(worked(b)) - median(worked(a)))[0] ?? ''
  const peerOf = ({ name, setting }: Contender): string => setting === 'tx' ? 'pg-boss, a transaction a job' : name === best ? name : best
  console.table(Object.fromEntries(contenders.map(contender => {
    const { sent, cpu, latencies } = samples.get(contender.name) ?? { sent: [], cpu: [], latencies: [] }
    const ratios = worked(contender.name).map((value, round) => value / (worked(peerOf(contender))[round] ?? NaN))
    return [contender.name, {
      sentPerSecond: Math.round(median(sent)),
      jobsPerSecond: Math.round(median(worked(contender.name))),
      cpuUsPerJob: Math.round(median(cpu)),
      ratioToBoss: Number(median(ratios).toFixed(2)),
      p50Ms: Number(percentile(latencies, 50).toFixed(1)),
      p99Ms: Number(percentile(latencies, 99).toFixed(1))
    }]
  })))
  console.log(`ratioToBoss is to "${best}", the best of bare pg-boss, and where each job has a transaction to that of pg-boss: the median of ${rounds} rounds`)
}

const percentile = (values: readonly number[], percent: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * percent / 100))] ?? NaN
const median = (values: readonly number[]): number => percentile(values, 50)

if (import.meta.main) await benchTasks(process.argv[2] === undefined ? undefined : Number(process.argv[2]))
