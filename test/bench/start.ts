// Start to ready with 1, 10, 100 and 1,000 generated plugins of five routes on an existing database: time, phases, memory.

import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'

const root = join(import.meta.dirname, '../..')

/** A plugin of five guarded, validated routes that uses the database's handle but no table. */
async function generatePlugin (folder: string, id: string): Promise<void> {
  await mkdir(join(folder, id), { recursive: true })
  await writeFile(join(folder, id, 'package.json'), JSON.stringify({
    name: `@bench/${id}`, version: '1.0.0', type: 'module', exports: './index.js',
    bulkhead: { id, host: '^1.0.0', resources: ['postgres'] }
  }))
  await writeFile(join(folder, id, 'index.js'), `
import { definePlugin, z } from 'bulkhead'
const Item = z.object({ id: z.uuid(), name: z.string() })
const permission = '${id}:read'
export default definePlugin({
  permissions: { [permission]: { description: 'Read', roles: ['viewer'] } },
  start ({ routes }) {
    const one = (ctx) => ({ id: ctx.input.params.id, name: 'item' })
    routes.get('/', { permission, query: z.object({ limit: z.coerce.number().max(100).default(50) }), returns: z.array(Item) }, () => [])
    routes.get('/:id', { permission, params: z.object({ id: z.uuid() }), returns: Item }, one)
    routes.post('/', { permission, body: z.object({ name: z.string() }), returns: Item }, (ctx) => ({ id: crypto.randomUUID(), name: ctx.input.body.name }))
    routes.patch('/:id', { permission, params: z.object({ id: z.uuid() }), body: z.object({ name: z.string() }), returns: Item }, one)
    routes.delete('/:id', { permission, params: z.object({ id: z.uuid() }) }, () => undefined)
  }
})
`)
}

interface Start { readyMs: number, rssMb: number, spans: { id: string, kind: string, durationMs: number }[] }

async function startOnce (env: Record<string, string>): Promise<Start> {
  const begun = performance.now()
  const child = spawn(process.execPath, [join(root, 'core/main.js')], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PLATFORM_LISTEN: '127.0.0.1:0', LIGHTSHIP_PORT: '0', PLATFORM_LOG_FORMAT: 'json', ...env },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const ended = once(child, 'close')
  const ready = await new Promise<string>((resolve, reject) => {
    let output = ''
    child.stdout.on('data', chunk => {
      output += String(chunk)
      const line = output.split('\n').slice(0, -1).find(line => line.includes('"msg":"ready"'))
      if (line !== undefined) resolve(line)
    })
    void ended.then(() => reject(new Error(`the host ended before it was ready:\n${output}`)))
  })
  const readyMs = performance.now() - begun
  const { report } = JSON.parse(ready) as { report: { units: Start['spans'] } }
  const rssMb = Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${child.pid ?? 0}/status`, 'utf8'))?.[1]) / 1024
  child.kill('SIGTERM')
  await ended
  return { readyMs, rssMb, spans: report.units }
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

/** Prints one row a count; the ratio is to the start with the first-party plugins alone, measured in the same run. */
export async function benchStart (counts: readonly number[] = [0, 1, 10, 100, 1000], rounds = 5): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-bench-'))
  try {
    const data = join(folder, 'data')
    const results = new Map<number, Start[]>(counts.map(count => [count, []]))
    for (const count of counts) {
      for (let index = 0; index < count; index++) await generatePlugin(join(folder, `p${count}`), `bench-${index}`)
      await mkdir(join(folder, `p${count}`), { recursive: true })
    }
    const env = (count: number): Record<string, string> => ({
      PLATFORM_DATA_PATH: data, PLATFORM_PLUGINS_PATH: `${join(root, 'plugins')}:${join(folder, `p${count}`)}`
    })
    for (const count of counts) await startOnce(env(count))
    for (let round = 0; round < rounds; round++) for (const count of counts) results.get(count)?.push(await startOnce(env(count)))

    const base = median(results.get(counts[0] ?? 0)?.map(start => start.readyMs) ?? [])
    const baseRss = median(results.get(counts[0] ?? 0)?.map(start => start.rssMb) ?? [])
    console.log('start to ready, existing database (median of', rounds, 'rounds)')
    for (const [count, starts] of results) {
      const readyMs = median(starts.map(start => start.readyMs))
      const rssMb = median(starts.map(start => start.rssMb))
      const perPlugin = count === 0 ? '' : `  ${((readyMs - base) / count).toFixed(2)} ms and ${((rssMb - baseRss) * 1024 / count).toFixed(0)} kB a plugin`
      console.log(`  ${String(count).padStart(5)} plugins  ${readyMs.toFixed(0).padStart(6)} ms  ×${(readyMs / base).toFixed(2)}  ${rssMb.toFixed(0)} MB${perPlugin}`)
      const spans = starts.at(-1)?.spans.filter(span => span.kind !== 'plugin' || count < 2).toSorted((a, b) => b.durationMs - a.durationMs).slice(0, 8) ?? []
      console.log(`         ${spans.map(span => `${span.id} ${span.durationMs.toFixed(0)}`).join(', ')} ms`)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) await benchStart()
