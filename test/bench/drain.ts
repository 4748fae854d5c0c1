// SIGTERM under load: two replicas behind a balancer that notices unreadiness a second late take turns in leaving. Nothing may be lost.
// `node test/bench/drain.ts [rounds]`; 20 unless said.

import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { startBalancer } from '../support/balancer.ts'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import type { HostProcess } from '../support/host.ts'
import { percentile, startLoad, totalFailed } from '../support/load.ts'
import type { LoadReport } from '../support/load.ts'
import { withDatabaseServer } from './context.ts'

const lateMs = 1_000
/** The balancer's second, its period, and room for a machine that is busy. */
const drainWaitMs = 1_500
const password = 'correct horse battery'

interface DrainSettings { readonly rounds: number, readonly requestsPerSecond: number }

export interface DrainRounds {
  readonly load: LoadReport
  readonly exits: readonly { readonly code: number | NodeJS.Signals, readonly tookMs: number }[]
}

export async function drainUnderLoad (t: TestContext, { rounds, requestsPerSecond }: DrainSettings): Promise<DrainRounds> {
  const env = {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_MASTER_KEY: 'ab'.repeat(31) + 'cd', PLATFORM_ADMIN_PASSWORD: password,
    PLATFORM_DRAIN_WAIT_MS: String(drainWaitMs)
  }
  const balancer = await startBalancer(t, { lateMs })
  const join = async (): Promise<HostProcess> => {
    const host = startHost(t, { ...env, PLATFORM_DATA_PATH: await temporaryFolder(t) })
    balancer.add(await host.ready())
    return host
  }
  let leaving = await join()
  const { cookie } = await signIn(balancer.url, 'admin', password)
  const load = startLoad(balancer.url, {
    requestsPerSecond,
    headers: { cookie, origin: balancer.url },
    ask: number => number % 10 === 3 ? { method: 'POST', path: '/api/notes', body: { title: `${number}` } } : { method: 'GET', path: '/api/notes?limit=1' }
  })
  const exits: DrainRounds['exits'][number][] = []
  for (let round = 0; round < rounds; round++) {
    const staying = await join()
    await sleep(300)
    const signalledAt = performance.now()
    leaving.signal('SIGTERM')
    exits.push({ code: await leaving.ended, tookMs: performance.now() - signalledAt })
    leaving = staying
  }
  return { load: await load.stop(), exits }
}

export async function benchDrain (rounds = 20): Promise<void> {
  const requestsPerSecond = 400
  console.log(`drain: SIGTERM ${rounds} times at ${requestsPerSecond} requests a second, half over kept connections, a tenth writes; unreadiness is noticed ${lateMs} ms late`)
  const { load, exits } = await withDatabaseServer(t => drainUnderLoad(t, { rounds, requestsPerSecond }))
  const tookMs = exits.map(exit => Math.round(exit.tookMs)).sort((a, b) => a - b)
  console.log(`  sent ${load.sent}, failed ${totalFailed(load)}`, load.failed)
  console.log(`  p50 ${percentile(load.samples, 50).toFixed(1)} ms, p99 ${percentile(load.samples, 99).toFixed(1)} ms`)
  console.log(`  exit codes ${exits.map(({ code }) => code).join(' ')}; from the signal to the exit ${tookMs[0] ?? '?'} to ${tookMs.at(-1) ?? '?'} ms, of which ${drainWaitMs} ms are PLATFORM_DRAIN_WAIT_MS`)
  if (totalFailed(load) > 0) process.exitCode = 1
}

if (import.meta.main) await benchDrain(process.argv[2] === undefined ? undefined : Number(process.argv[2]))
