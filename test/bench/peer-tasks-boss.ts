// Bare pg-boss: `work` in batches, woken by notifications. `setting` is the number of workers; `heartbeat`: two, and a dead one is found within the
// time in which bulkhead finds one; or `tx`: batches that are fetched and, since `work`
// has one transaction a batch only, each job of them with its completion in a transaction.

import { PgBoss } from 'pg-boss'
import { concurrency, connections, serve, setting, url, type Payload } from './task-peer.ts'

const hasHeartbeat = setting === 'heartbeat'
const supervision = hasHeartbeat ? { superviseIntervalSeconds: 2, monitorIntervalSeconds: 2 } : {}
const boss = new PgBoss({ connectionString: url, max: connections, schedule: false, useListenNotify: true, ...supervision })
boss.on('error', console.error)
await boss.start()
await boss.createQueue('deliver', { notify: true, ...hasHeartbeat && { heartbeatSeconds: 10 } })

type Handle = (payload: Payload) => void

async function work (handle: Handle): Promise<() => Promise<unknown>> {
  const workers = hasHeartbeat ? 2 : Number(setting)
  await boss.work<Payload>('deliver', { batchSize: concurrency / workers, localConcurrency: workers, burstWhenBatchFull: true },
    async jobs => { await Promise.all(jobs.map(async ({ data }) => handle(data))) })
  return () => boss.offWork('deliver', { wait: true })
}

async function workInTransactions (handle: Handle): Promise<() => Promise<unknown>> {
  let isOver = false
  const lane = async (): Promise<void> => {
    while (!isOver) {
      const jobs = await boss.fetch<Payload>('deliver', { batchSize: 10 })
      if (jobs.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
      for (const job of jobs) {
        handle(job.data)
        const transaction = await boss.getDb().beginTransaction?.()
        if (transaction === undefined) throw new Error('pg-boss has no pool of its own')
        await transaction.db.executeSql('insert into effect (at) values ($1)', [job.data.at])
        await boss.complete('deliver', job.id, undefined, { db: transaction.db })
        await transaction.commit()
      }
    }
  }
  const lanes = Array.from({ length: connections - 2 }, lane)
  return async () => { isOver = true; await Promise.all(lanes) }
}

serve({ send: payload => boss.send('deliver', payload), work: setting === 'tx' ? workInTransactions : work })
