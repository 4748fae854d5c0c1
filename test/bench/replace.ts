// A plugin of twenty modules is replaced again and again while it is under load. Nothing may be lost, and nobody else may notice.
// `node test/bench/replace.ts [rounds]`; 100 unless said.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { signIn, type Client } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder, type HostProcess } from '../support/host.ts'
import { percentile, startLoad, totalFailed, type LoadReport } from '../support/load.ts'
import { writePlugin } from '../support/plugin.ts'
import { withDatabaseServer } from './context.ts'

const password = 'correct horse battery'
const modulesMax = 20
const calibrationMs = 3_000

interface ReplaceSettings {
  readonly rounds: number
  /** Unless said, what half fills a core. */
  readonly requestsPerSecond?: number
  /** Of load without and with replacements. */
  readonly calmMs?: number
  /** Between the end of a replacement and the next; 0 unless said. */
  readonly pauseMs?: number
}

export interface Replacements {
  readonly requestsPerSecond: number
  readonly calm: LoadReport
  readonly load: LoadReport
  /** From the command to the answer that tells of the switch. */
  readonly switchMs: readonly number[]
  /** Answers of a generation that was no longer or not yet the one that serves. */
  readonly stale: number
  /** Of the heap, after a collection, for each replacement. */
  readonly heapBytesEach: number
}

/** Twenty modules; `word.js` says which version they are. */
async function writeInvoices (folder: string): Promise<void> {
  await writePlugin(folder, 'invoices', { resources: ['postgres'] }, `
    import { runInNewContext } from 'node:vm'
    import { setFlagsFromString } from 'node:v8'
    import { definePlugin, sql, z } from 'bulkhead'
    ${Array.from({ length: modulesMax - 2 }, (_, at) => `import { part as part${at} } from './part-${at}.js'`).join('\n')}
    import { word } from './word.js'
    const parts = [${Array.from({ length: modulesMax - 2 }, (_, at) => `part${at}`).join(', ')}]
    setFlagsFromString('--expose-gc')
    export default definePlugin({
      start ({ routes, tasks, postgres, timers }) {
        routes.get('/', { signedIn: 'a bench' }, async () => ({ word, sum: parts.reduce((sum, part) => sum + part(1), 0), rows: await postgres.any(sql.type(z.object({ one: z.int() }))\`select 1 as one\`) }))
        routes.post('/', { signedIn: 'a bench', body: z.object({ title: z.string() }) }, async ({ input }) => postgres.transaction(async tx => {
          await tx.query(sql.type(z.object({}))\`insert into invoices.invoice (title) values (\${input.body.title})\`)
          return { word }
        }))
        routes.get('/heap', { signedIn: 'a bench' }, () => { runInNewContext('gc')(); return { bytes: process.memoryUsage().heapUsed } })
        tasks.every('sweep', '1s', () => undefined)
        timers.every(50, () => undefined)
      }
    })`)
  await writeFile(join(folder, 'invoices/word.js'), 'export const word = 0')
  for (let at = 0; at < modulesMax - 2; at++) {
    await writeFile(join(folder, `invoices/part-${at}.js`), `import { word } from './word.js'\nexport const part = number => number * ${at} + word * 0\n`)
  }
  await mkdir(join(folder, 'invoices/migrations'))
  await writeFile(join(folder, 'invoices/migrations/0001_invoice.sql'), 'create table invoices.invoice (id bigint generated always as identity primary key, title text not null);\n')
  await writeFile(join(folder, 'invoices/migrations/0001_invoice.down.sql'), 'drop table invoices.invoice;\n')
}

/** The part of one core that the process has used since the last call. */
function cpuMeter (pid: number): () => Promise<number> {
  let before = { at: performance.now(), ticks: 0 }
  return async () => {
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
    const now = { at: performance.now(), ticks: Number(fields[11]) + Number(fields[12]) }
    const used = (now.ticks - before.ticks) * 10 / (now.at - before.at)
    before = now
    return used
  }
}

export async function replaceUnderLoad (
  t: TestContext, { rounds, requestsPerSecond, calmMs = 3_000, pauseMs = 0 }: ReplaceSettings
): Promise<Replacements> {
  const folder = await temporaryFolder(t)
  await writeInvoices(folder)
  const own = join(import.meta.dirname, '../../plugins')
  const host = startHost(t, {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: password,
    PLATFORM_PLUGINS_PATH: `${own}:${folder}`,
    // One user stands for all there would be: what keeps one user from the others' share is not what is measured.
    PLATFORM_REQUESTS_PER_USER_MAX: '10000', DATABASE_POOL_MAX: '20', DATABASE_PLUGIN_CONNECTIONS: '16'
  })
  const { url } = await host.ready()
  const admin = await signIn(url, 'admin', password)
  const load = (rate: number) => startLoad(url, {
    requestsPerSecond: rate,
    headers: { cookie: admin.cookie, origin: url },
    ask: number => number % 10 === 3 ? { method: 'POST', path: '/api/invoices', body: { title: `${number}` } } : { method: 'GET', path: '/api/invoices' }
  })
  const rate = requestsPerSecond ?? await calibrate(host, load)

  const before = load(rate)
  await sleep(calmMs)
  const calm = await before.stop()

  const heapBefore = await heapOf(admin)
  const during = load(rate)
  const switchMs: number[] = []
  let stale = 0
  for (let round = 1; round <= rounds; round++) {
    await writeFile(join(folder, 'invoices/word.js'), `export const word = ${round}`)
    const askedAt = performance.now()
    const answer = await admin.post('/api/plugins/invoices/reload')
    if (answer.status !== 200) throw new Error(`round ${round}: ${answer.status} ${await answer.text()}`)
    switchMs.push(performance.now() - askedAt)
    await answer.json()
    const { word } = await (await admin.get('/api/invoices')).json() as { word: number }
    if (word !== round) stale += 1
    await sleep(pauseMs)
  }
  const report = await during.stop()
  const heapBytesEach = (await heapOf(admin) - heapBefore) / rounds
  host.signal('SIGTERM')
  const code = await host.ended
  if (code !== 0) throw new Error(`the host ended with ${code}:\n${host.output()}`)
  return { requestsPerSecond: rate, calm, load: report, switchMs, stale, heapBytesEach }
}

async function calibrate (host: HostProcess, load: (rate: number) => ReturnType<typeof startLoad>): Promise<number> {
  const used = cpuMeter(host.pid)
  const trial = load(200)
  await sleep(calibrationMs / 2)
  await used()
  await sleep(calibrationMs / 2)
  const part = await used()
  await trial.stop()
  return Math.round(200 * 0.5 / part / 10) * 10
}

async function heapOf (admin: Client): Promise<number> {
  await sleep(1_000)
  return (await (await admin.get('/api/invoices/heap')).json() as { bytes: number }).bytes
}

export async function benchReplace (rounds = 100): Promise<void> {
  const { requestsPerSecond, calm, load, switchMs, stale, heapBytesEach } =
    await withDatabaseServer(t => replaceUnderLoad(t, { rounds, calmMs: 10_000, pauseMs: 200 }))
  const sorted = switchMs.toSorted((a, b) => a - b).map(Math.round)
  console.log(`replace: a plugin of ${modulesMax} modules, ${rounds} times at ${requestsPerSecond} requests a second (what half fills a core), half over kept connections, a tenth writes`)
  console.log(`  sent ${load.sent}, failed ${totalFailed(load)}`, load.failed, `answered by another generation after the switch ${stale}`)
  console.log(`  p50 ${percentile(load.samples, 50).toFixed(1)} ms during, ${percentile(calm.samples, 50).toFixed(1)} ms without; p99 ${percentile(load.samples, 99).toFixed(1)} ms during, ` +
    `${percentile(calm.samples, 99).toFixed(1)} ms without: × ${(percentile(load.samples, 99) / percentile(calm.samples, 99)).toFixed(2)}`)
  console.log(`  from the command to the switch ${sorted[Math.floor(sorted.length / 2)] ?? '?'} ms (${sorted[0] ?? '?'} to ${sorted.at(-1) ?? '?'})`)
  console.log(`  heap left behind by each: ${(heapBytesEach / 1_024).toFixed(1)} kB, ${(heapBytesEach / 1_024 / modulesMax).toFixed(1)} kB a module`)
  if (totalFailed(load) > 0 || stale > 0) process.exitCode = 1
}

if (import.meta.main) await benchReplace(process.argv[2] === undefined ? undefined : Number(process.argv[2]))
