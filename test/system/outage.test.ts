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

// A route for each resource, and one that needs none.
const leaner = `
import { sql, z } from 'bulkhead'
export default {
  async start ({ routes, tasks, postgres, valkey, storage }) {
    const heard = []
    await valkey.subscribe('news', z.number(), n => { heard.push(n) })
    const route = (path, answer) => routes.get(path, { public: 'a test', returns: z.object({ ok: z.boolean() }) }, answer)
    route('/plain', () => ({ ok: true }))
    route('/postgres', async () => ({ ok: await postgres.exists(sql.type(z.object({}))\`SELECT 1 AS one\`) }))
    route('/valkey', async () => { await valkey.set('a', 1, { ttlMs: 60_000 }); return { ok: await valkey.get('a', z.number()) === 1 } })
    route('/news', async () => {
      const { length } = heard
      await valkey.publish('news', length)
      await new Promise(resolve => setTimeout(resolve, 20))
      return { ok: heard.length > length }
    })
    route('/storage', async () => { await storage.write('a', 'x'); return { ok: String(await storage.read('a')) === 'x' } })
    tasks.every('tick', '1m', () => {})
  }
}`

type Resource = 'postgres' | 'valkey' | 'storage'

async function startBehindProxies (t: TestContext) {
  const database = new URL(await createDatabase(t))
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
  await writePlugin(plugins, 'leaner', { resources: ['postgres', 'valkey', 'storage'] }, leaner)
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

test('a resource that goes away is told by readiness and by 503, and by nothing else; when it is back all resumes', async t => {
  const { host, proxies, url, probesUrl } = await startBehindProxies(t)
  const routes: Record<Resource, string[]> = { postgres: ['postgres'], valkey: ['valkey', 'news'], storage: ['storage'] }
  const isReady = async (): Promise<boolean> => (await fetch(`${probesUrl}/ready`)).status === 200
  const answers = async (path: string): Promise<boolean> => { const { status, ok } = await ask(`${url}/api/leaner/${path}`); return status === 200 && ok }

  for (const name of ['postgres', 'valkey', 'storage'] as const) {
    await until(isReady, 10_000)
    for (const path of Object.values(routes).flat()) await until(() => answers(path), 10_000)
    const refused: number[] = []
    const others: number[] = []
    const ending = new AbortController()
    const during = (work: () => Promise<void>) => (async () => { while (!ending.signal.aborted) await work() })()

    const fellAt = performance.now()
    proxies[name].hold()
    const callers = [
      ...Array.from({ length: 8 }, () => during(async () => {
        for (const path of routes[name]) {
          const { status, ms } = await ask(`${url}/api/leaner/${path}`)
          assert.equal(status, 503, `${path} while ${name} is away`)
          refused.push(ms)
        }
        await sleep(20)
      })),
      during(async () => {
        for (const path of ['plain', ...Object.entries(routes).flatMap(([other, paths]) => other === name ? [] : paths)]) {
          const { status, ms } = await ask(`${url}/api/leaner/${path}`)
          assert.equal(status, 200, `${path} while ${name} is away`)
          others.push(ms)
        }
        assert.equal((await fetch(`${probesUrl}/live`)).status, 200, 'liveness never looks at a dependency')
        await sleep(20)
      })
    ]
    await until(async () => !await isReady(), 10_000)
    const redAfter = performance.now() - fellAt
    assert.match(await (await fetch(`${probesUrl}/ready`)).text(), new RegExp(`^${name}: `, 'm'))
    await sleep(2_000)
    ending.abort()
    await Promise.all(callers)

    const roseAt = performance.now()
    proxies[name].pass()
    await Promise.all(routes[name].map(path => until(() => answers(path), 10_000)))
    const resumed = performance.now() - roseAt
    await until(isReady, 10_000)
    const greenAfter = performance.now() - roseAt
    t.diagnostic(`${name}: readiness red after ${Math.round(redAfter)} ms; ${refused.length} requests refused, the slowest after ${Math.round(Math.max(...refused))} ms; ` +
      `${others.length} others answered, the slowest after ${Math.round(Math.max(...others))} ms; resumed ${Math.round(resumed)} ms after the return, ready ${Math.round(greenAfter)} ms`)
    assert.ok(redAfter < 5_000 && Math.max(...refused) < 2_500 && resumed < 2_500)
  }
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})
