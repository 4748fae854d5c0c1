// One bad plugin of each kind beside ten good ones: what each does to the others, which is nothing, as far as one process can contain it.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PluginStatus } from '../../core/contract/index.ts'
import { signIn, type Client } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder, type HostProcess } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { until } from '../support/until.ts'

const password = 'correct horse battery'
const own = join(import.meta.dirname, '../../plugins')
const good = Array.from({ length: 10 }, (_, at) => `good-${at}`)

interface House {
  readonly url: string
  readonly host: HostProcess
  readonly admin: Client
  /** The status of a plugin's first route. */
  ask (id: string): Promise<number>
  status (id: string): Promise<PluginStatus>
  /** Every good plugin answers. */
  assertGoodServe (): Promise<void>
  stop (): Promise<void>
}

/** `bad` by id: what `start` is, or the whole module when it says so itself. */
async function startHouse (t: TestContext, bad: Record<string, string>, env: Record<string, string> = {}): Promise<House> {
  const folder = await temporaryFolder(t)
  for (const id of good) await writePlugin(folder, id, {}, "export default { start ({ routes }) { routes.get('/', { public: 'a test' }, () => 'pong') } }")
  for (const [id, code] of Object.entries(bad)) await writePlugin(folder, id, { resources: ['postgres', 'valkey'] }, code.includes('export default') ? code : `export default { start ({ routes, ...scope }) { ${code} } }`)
  const host = startHost(t, {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: password,
    PLATFORM_PLUGINS_PATH: `${own}:${folder}`, PLATFORM_PLUGIN_START_BUDGET_MS: '1000', ...env
  })
  const { url, probesUrl } = await host.ready()
  const admin = await signIn(url, 'admin', password)
  const ask = async (id: string): Promise<number> => (await fetch(`${url}/api/${id}`)).status
  return {
    url, host, admin, ask,
    status: async id => await (await admin.get(`/api/plugins/${id}`)).json() as PluginStatus,
    assertGoodServe: async () => {
      assert.deepEqual(await Promise.all(good.map(ask)), good.map(() => 200))
      assert.deepEqual([(await fetch(`${probesUrl}/live`)).status, (await fetch(`${probesUrl}/ready`)).status], [200, 200])
    },
    stop: async () => {
      host.signal('SIGTERM')
      assert.equal(await host.ended, 0, host.output())
    }
  }
}

test('plugins that throw, reject or hang at import or start are quarantined; ten others serve', async (t) => {
  const bad = {
    'at-import': 'throw new Error("at import")\nexport default { start () {} }',
    throws: 'throw new Error("at start")',
    rejects: 'return Promise.reject(new Error("later"))',
    'throws-null': 'throw null',
    'over-budget': 'return new Promise((resolve, reject) => { scope.signal.addEventListener("abort", () => reject(scope.signal.reason)) })',
    hangs: 'return new Promise(() => {})',
    'hangs-at-import': 'await new Promise(() => {})\nexport default { start () {} }',
    // It does start.
    timer: 'setTimeout(() => { throw new Error("in a timer while it starts") }); return new Promise(resolve => setTimeout(resolve, 50))'
  }
  const ids = Object.keys(bad).filter(id => id !== 'timer')
  const { ask, status, assertGoodServe, host, stop } = await startHouse(t, bad)
  await assertGoodServe()
  assert.deepEqual(await Promise.all(ids.map(ask)), ids.map(() => 503))
  for (const id of ids) {
    const { state, reason } = await status(id)
    // A moment of each try is spent in trying.
    assert.ok(state === 'quarantined' || state === 'starting', `${id} is ${state}`)
    if (state === 'quarantined') assert.match(reason ?? '', /at import \(|at import|at start \(.*throws\/index\.js:1\)|later|null|longer than 1000 ms|within 1000 ms/, id)
  }
  await until(async () => (await Promise.all(ids.map(status))).every(({ restarts }) => restarts >= 1))
  assert.equal((await status('timer')).state, 'running')
  assert.match(host.output(), /in a timer while it starts/)
  await assertGoodServe()
  await stop()
})

test('what a handler throws is its own request\'s 500, null too', async (t) => {
  const { ask, status, assertGoodServe, stop } = await startHouse(t, {
    throws: "routes.get('/', { public: 'a test' }, () => { throw new Error('in a handler') })",
    'throws-null': "routes.get('/', { public: 'a test' }, async () => { throw null })"
  })
  for (let round = 0; round < 15; round++) assert.deepEqual([await ask('throws'), await ask('throws-null')], [500, 500])
  assert.deepEqual([(await status('throws')).state, (await status('throws-null')).state], ['running', 'running'])
  await assertGoodServe()
  await stop()
})

test('errors in timers, promises and listeners are traced to their plugin and quarantine it', async (t) => {
  const { ask, status, assertGoodServe, host, stop, admin, url } = await startHouse(t, {
    stray: `
      const ways = [
        () => setTimeout(() => { throw new Error('in a timer') }),
        () => { void Promise.reject(new Error('in a promise')) },
        () => queueMicrotask(() => { throw null }),
        () => process.nextTick(() => { throw new Error('in a tick') }),
        () => { process.once('bulkhead test', () => { throw new Error('in a listener') }); setImmediate(() => process.emit('bulkhead test')) }
      ]
      let next = 0
      routes.get('/', { public: 'a test' }, () => { ways[next++ % ways.length](); return 'ok' })`,
    careless: `import { sql, z } from 'bulkhead'
      export default { start ({ routes, postgres, valkey, signal }) {
        signal.addEventListener('abort', () => { throw new Error('in an abort listener of the scope') })
        routes.get('/', { public: 'a test', query: z.object({ a: z.string().optional().refine(() => { setTimeout(() => { throw new Error('in a schema') }); return true }) }) }, ctx => {
          void postgres.query(sql.unsafe\`select nonsense\`)
          void valkey.set('', 1, { ttlMs: -1 })
          ctx.res.once('finish', () => { throw new Error('in a listener of the response') })
          ctx.signal.addEventListener('abort', () => { throw new Error('in an abort listener of a request') })
          return new Promise(() => {})
        })
        routes.get('/ok', { public: 'a test' }, ctx => { ctx.res.once('finish', () => { throw new Error('in a listener of the response') }); return 'ok' })
      } }`,
    few: "routes.get('/', { public: 'a test' }, () => { scope.timers.after(1, () => { throw new Error('in a timer of the scope') }); return 'ok' })"
  }, { PLATFORM_PLUGINS_ERRORS_MAX: '4' })
  for (let round = 0; round < 4; round++) assert.equal(await ask('few'), 200)
  for (let round = 0; round < 5; round++) assert.equal(await ask('stray'), 200)
  await until(async () => (await status('stray')).state === 'quarantined')
  assert.match((await status('stray')).reason ?? '', /more than 4 of its errors were uncaught within 60 s/)
  for (const said of ['in a timer', 'in a promise', 'in a tick', 'in a listener', 'in a timer of the scope']) assert.ok(host.output().includes(said), said)
  const traced = host.lines().filter(({ msg }) => msg.includes('an uncaught error of plugin')).map(({ plugin }) => plugin)
  assert.deepEqual([traced.filter(id => id === 'stray').length, traced.filter(id => id === 'few').length, traced.length], [5, 4, 9])
  assert.equal((await status('few')).state, 'running')
  await assertGoodServe()

  // What is thrown by a forgotten promise of a handle, by a schema, and by listeners that the host calls is its plugin's, too.
  await assert.rejects(fetch(`${url}/api/careless?a=b`, { signal: AbortSignal.timeout(300) }))
  assert.equal(await ask('careless/ok'), 200)
  await until(() => ['nonsense', 'in a schema', 'in an abort listener of a request', 'in a listener of the response']
    .every(said => host.lines().some(line => line.plugin === 'careless' && JSON.stringify(line).includes(said))))
  await admin.post('/api/plugins/careless/disable')
  await until(() => host.output().includes('in an abort listener of the scope'))
  await assertGoodServe()
  // It is tried again, and serves.
  await until(async () => await ask('stray') === 200)
  await stop()
})

test('a plugin is quarantined after three failed checks; a required one makes the host unready', async (t) => {
  const sick = (id: string): string => `
    let isSick = false
    let starts = 0
    export default {
      start ({ routes }) {
        isSick = false
        if (++starts === 2 && '${id}' === 'needed') throw new Error('not yet')
        routes.get('/', { public: 'a test' }, () => { isSick = true; return 'ok' })
      },
      check () { if (isSick) throw new Error('out of paper') }
    }`
  const { host, ask, status, assertGoodServe, stop } = await startHouse(t, { ill: sick('ill') })
  assert.equal(await ask('ill'), 200)
  await until(async () => (await status('ill')).state === 'quarantined')
  assert.match((await status('ill')).reason ?? '', /its check failed 3 times in a row, the last time: out of paper/)
  await assertGoodServe()
  await until(async () => (await status('ill')).state === 'running')
  assert.ok(!host.output().includes('"signal"'))
  await stop()

  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'needed', { readiness: 'required' }, sick('needed'))
  const second = startHost(t, {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: folder
  })
  const { url, probesUrl } = await second.ready()
  await fetch(`${url}/api/needed`)
  const readiness = async (): Promise<string> => (await fetch(`${probesUrl}/ready`)).text()
  await until(async () => /needed is quarantined/.test(await readiness()))
  await until(async () => (await readiness()).startsWith('SERVER_IS_READY'))
  second.signal('SIGTERM')
  assert.equal(await second.ended, 0, second.output())
})

test('the leftovers of an ended plugin are named, and everything its scope made is gone', async (t) => {
  const { admin, status, assertGoodServe, stop } = await startHouse(t, {
    leaks: `
      setInterval(() => {}, 60_000)
      process.on('SIGUSR2', () => {})
      scope.timers.every(60_000, () => {})
      scope.listen(process, 'bulkhead test', () => {})
      routes.get('/', { public: 'a test' }, () => 'ok')`
  })
  const { owns } = await status('leaks')
  assert.deepEqual([owns.routes, owns.timers, owns.listeners], [1, 2, 2])
  await admin.post('/api/plugins/leaks/disable')
  await until(async () => (await status('leaks')).state === 'disabled')
  const { leftBehind, owns: none } = await status('leaks')
  assert.deepEqual(Object.values(none), Object.values(none).map(() => 0))
  assert.equal(leftBehind.length, 2, leftBehind.join())
  assert.match(leftBehind.join(), /timer \(a setInterval at .*leaks\/index\.js:2\).*listener \(process\.on\("SIGUSR2"\) at .*leaks\/index\.js:3\)/)
  await assertGoodServe()
  await stop()
})

test('one process cannot contain a blocked loop or process.exit of a plugin, as the README says', async (t) => {
  const { ask, host, assertGoodServe } = await startHouse(t, {
    blocks: "routes.get('/', { public: 'a test' }, () => { const end = Date.now() + 2000; while (Date.now() < end); return 'ok' })",
    exits: "routes.get('/', { public: 'a test' }, () => process.exit(3))"
  })
  const blocked = ask('blocks')
  await sleep(100)
  const askedAt = performance.now()
  await ask('good-0')
  assert.ok(performance.now() - askedAt > 1_000, 'the others wait for it')
  assert.equal(await blocked, 200)
  await sleep(1_500)
  await assertGoodServe()
  await ask('exits').catch(() => undefined)
  assert.equal(await host.ended, 3)
  assert.match(host.output(), /plugin \\"exits\\" called process\.exit\(3\)/)
  assert.match(host.output(), /the event loop stood still/)
})
