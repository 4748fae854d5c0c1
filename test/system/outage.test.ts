// Postgres, Valkey and the object storage go away under a host that serves, and come back.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { startProxy } from '../support/proxy.ts'
import { createBucket } from '../support/s3-server.ts'
import { until } from '../support/until.ts'

/** A plugin with one route, and what it needs and does before. */
const entry = (answer: string, needs = '', before = ''): string => `
import { sql, z } from 'bulkhead'
export default {
  async start ({ routes, tasks, ${needs} }) {
    ${before}
    routes.get('/', { public: 'a test', returns: z.object({ ok: z.boolean() }) }, async () => ({ ok: ${answer} }))
  }
}`

const code = {
  plain: entry('true'),
  postgres: entry('await postgres.exists(sql.type(z.object({}))`SELECT 1 AS one`)', 'postgres', "tasks.every('tick', '1m', () => {})"),
  valkey: entry(`await (async () => {
    const { length } = heard
    await valkey.publish('news', length)
    await new Promise(resolve => setTimeout(resolve, 20))
    return heard.length > length
  })()`, 'valkey', "const heard = []; await valkey.subscribe('news', z.number(), n => { heard.push(n) })"),
  storage: entry("(await storage.write('a', 'x'), String(await storage.read('a')) === 'x')", 'storage')
}

const resources = ['postgres', 'valkey', 'storage'] as const

async function startBehindProxies (t: TestContext) {
  const database = new URL(await createDatabase(t, { migrated: 'plugins' }))
  const valkey = new URL(process.env.TEST_VALKEY_URL ?? '')
  const storage = new URL(process.env.TEST_S3_ENDPOINT ?? '')
  const proxies = {
    postgres: await startProxy(t, Number(database.port)),
    valkey: await startProxy(t, Number(valkey.port)),
    storage: await startProxy(t, Number(storage.port))
  }
  database.host = `127.0.0.1:${proxies.postgres.port}`
  valkey.host = `127.0.0.1:${proxies.valkey.port}`
  storage.host = `127.0.0.1:${proxies.storage.port}`
  const plugins = await temporaryFolder(t)
  await writePlugin(plugins, 'plain', {}, code.plain)
  for (const name of resources) {
    await writePlugin(plugins, `on-${name}`, { resources: [name] }, code[name])
    // Its requests reach the resource while it is away, too.
    await writePlugin(plugins, `tries-${name}`, { resources: [name], tolerates: [name] }, code[name])
  }
  const host = startHost(t, {
    DATABASE_URL: database.href,
    VALKEY_URL: valkey.href,
    MINIO_ENDPOINT: storage.origin,
    MINIO_ACCESS_KEY: process.env.TEST_S3_ACCESS_KEY ?? '',
    MINIO_SECRET_KEY: process.env.TEST_S3_SECRET_KEY ?? '',
    MINIO_BUCKET: await createBucket(t),
    PLATFORM_PLUGINS_PATH: plugins,
    PLATFORM_DATA_PATH: await temporaryFolder(t)
  })
  return { host, proxies, ...await host.ready() }
}

/** The status, and how long it took. */
async function ask (url: string): Promise<{ status: number, ok: boolean, ms: number }> {
  const from = performance.now()
  const answer = await fetch(url, { signal: AbortSignal.timeout(20_000) })
  const { ok } = await answer.json() as { ok?: boolean }
  return { status: answer.status, ok: ok === true, ms: performance.now() - from }
}

test('an unavailable resource shows in readiness and 503 only, and all resumes when it is back', async t => {
  const { host, proxies, url, probesUrl } = await startBehindProxies(t)
  const isReady = async (): Promise<boolean> => (await fetch(`${probesUrl}/ready`)).status === 200
  const answers = async (id: string): Promise<boolean> => { const { status, ok } = await ask(`${url}/api/${id}`); return status === 200 && ok }
  const plugins = ['plain', ...resources.flatMap(name => [`on-${name}`, `tries-${name}`])]

  for (const name of resources) {
    await until(isReady)
    for (const id of plugins) await until(() => answers(id))
    const refused: number[] = []
    const others: number[] = []
    const ending = new AbortController()
    const during = (work: () => Promise<void>) => (async () => { while (!ending.signal.aborted) { await work(); await sleep(20) } })()

    const fellAt = performance.now()
    proxies[name].hold()
    const callers = [
      ...[`on-${name}`, `tries-${name}`].flatMap(id => Array.from({ length: 6 }, () => during(async () => {
        const { status, ms } = await ask(`${url}/api/${id}`)
        assert.equal(status, 503, `${id} while ${name} is away`)
        refused.push(ms)
      }))),
      during(async () => {
        for (const id of plugins.filter(id => !id.endsWith(name))) {
          const { status, ms } = await ask(`${url}/api/${id}`)
          assert.equal(status, 200, `${id} while ${name} is away`)
          others.push(ms)
        }
        assert.equal((await fetch(`${probesUrl}/live`)).status, 200, 'liveness never looks at a dependency')
      })
    ]
    await until(async () => !await isReady())
    const redAfter = performance.now() - fellAt
    assert.match(await (await fetch(`${probesUrl}/ready`)).text(), new RegExp(`^${name}: `, 'm'))
    await sleep(2_000)
    ending.abort()
    await Promise.all(callers)

    proxies[name].pass()
    const roseAt = performance.now()
    const after = async (holds: () => Promise<boolean>): Promise<number> => {
      await until(holds)
      return Math.round(performance.now() - roseAt)
    }
    const [tries, on, ready] = await Promise.all([after(() => answers(`tries-${name}`)), after(() => answers(`on-${name}`)), after(isReady)])
    t.diagnostic(`${name}: not ready after ${Math.round(redAfter)} ms; ` +
      `${refused.length} requests refused, the slowest after ${Math.round(Math.max(...refused))} ms; ` +
      `${others.length} others answered, the slowest after ${Math.round(Math.max(...others))} ms; ` +
      `after the return: answers ${tries} ms, plugins that do not go on without it ${on} ms, ready ${ready} ms`)
    assert.ok(redAfter < 5_000 && Math.max(...refused) < 2_500 && tries < 2_500 && on < 4_000)
  }
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})
