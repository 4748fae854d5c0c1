// Background work of whole hosts: what a plugin declares, what an operator sees and does, and what the end of a host does to it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { sql, z, type Job } from '../../core/contract/index.ts'
import { signIn, type Client } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder, type HostProcess } from '../support/host.ts'
import { openTestPostgres } from '../support/postgres.ts'
import { writePlugin } from '../support/plugin.ts'
import { until } from '../support/until.ts'

const password = 'correct horse battery'
const own = join(import.meta.dirname, '../../plugins')
const main = join(import.meta.dirname, '../../core/main.js')

const writeShop = async (folder: string): Promise<void> => {
  await writePlugin(folder, 'shop', { resources: ['postgres', 'valkey'] }, `
    import { definePlugin, sql, z } from 'bulkhead'
    const Order = z.object({ item: z.string(), fails: z.boolean().default(false) })
    const heard = []
    export default definePlugin({
      config: { carrierKey: { doc: 'Of the carrier', format: 'string', default: 'carrier-k3y', env: 'SHOP_CARRIER_KEY', sensitive: true } },
      start ({ routes, tasks, events, postgres, config }) {
      tasks.queue('pack', { input: Order, retry: { limit: 0 } }, async ({ input, tx }) => {
        if (input.fails) throw new Error('out of boxes, see postgres://shop:hunter2@db/shop, ' + config.carrierKey)
        await tx.query(sql.unsafe\`insert into public.packed (item) values (\${input.item})\`)
        await events.publish('order.packed', { item: input.item }, { in: tx })
      })
      tasks.cron('count', '0 0 1 1 *', () => {})
      events.onBroadcast('price', z.number(), price => { heard.push(price) })
      routes.post('/', { public: 'a test', body: Order.extend({ rollBack: z.boolean().default(false) }) }, async ({ input }) => {
        const { rollBack, ...order } = input.body
        await postgres.transaction(async tx => {
          await tasks.send('pack', order, { in: tx })
          if (rollBack) throw new Error('rolled back')
        })
      })
      routes.post('/price', { public: 'a test' }, () => events.broadcast('price', 7))
      routes.get('/heard', { public: 'a test', returns: z.array(z.number()) }, () => heard)
    } })`)
  await writePlugin(folder, 'mail', { resources: ['postgres'] }, `
    import { definePlugin, sql, z } from 'bulkhead'
    export default definePlugin({ start ({ events }) {
      events.on('order.packed', z.object({ item: z.string() }), async ({ payload, tx }) => {
        await tx.query(sql.unsafe\`insert into public.mailed (item) values (\${payload.item})\`)
      })
    } })`)
}

interface Shop {
  readonly host: HostProcess
  readonly url: string
  readonly admin: Client
  readonly env: Record<string, string>
  jobs (query?: string): Promise<readonly Job[]>
}

async function open (t: TestContext, database: string, folder: string): Promise<Shop> {
  const env = {
    DATABASE_URL: database, PLATFORM_ADMIN_PASSWORD: password, PLATFORM_MASTER_KEY: '0123456789abcdef'.repeat(4),
    PLATFORM_PLUGINS_PATH: `${own}:${folder}`, PLATFORM_DATA_PATH: await temporaryFolder(t)
  }
  const host = startHost(t, env)
  const { url } = await host.ready()
  const admin = await signIn(url, 'admin', password)
  const jobs = async (query = ''): Promise<readonly Job[]> => {
    const answer = await admin.get(`/api/tasks${query}`)
    assert.equal(answer.status, 200, await answer.clone().text())
    // Each minute the digest of notify is due, too.
    return (await answer.json() as { items: Job[] }).items.filter(({ task }) => !task.startsWith('notify/'))
  }
  return { host, url, admin, env, jobs }
}

const rowsOf = async (postgres: Awaited<ReturnType<typeof openTestPostgres>>['postgres'], query: ReturnType<typeof sql.unsafe>): Promise<readonly string[]> =>
  postgres.anyFirst({ ...query, parser: z.object({ item: z.string() }) })

test('a job sent with a commit is done once; an operator sees, retries, cancels and runs jobs', async (t) => {
  const database = await createDatabase(t, { migrated: 'plugins' })
  const { plugin: postgres } = await openTestPostgres(t, { url: database })
  await postgres.query(sql.unsafe`create table public.packed (item text)`)
  await postgres.query(sql.unsafe`create table public.mailed (item text)`)
  const folder = await temporaryFolder(t)
  await writeShop(folder)
  const { host, url, admin, env, jobs } = await open(t, database, folder)

  assert.equal((await admin.post('/api/shop', { item: 'lamp' })).status, 204)
  assert.equal((await admin.post('/api/shop', { item: 'rug', rollBack: true })).status, 500)
  await until(async () => (await rowsOf(postgres, sql.unsafe`select item from public.mailed`)).length === 1)
  assert.deepEqual(await rowsOf(postgres, sql.unsafe`select item from public.packed`), ['lamp'])
  await until(async () => (await jobs('?state=done')).length === 2)
  assert.deepEqual((await jobs()).map(({ task, state, attempt, error }) => [task, state, attempt, error]).toSorted(), [
    ['mail/on/order.packed', 'done', 1, null], ['shop/pack', 'done', 1, null]
  ])

  // It throws: a dead letter without the password, tried again by hand, and discarded.
  assert.equal((await admin.post('/api/shop', { item: 'sofa', fails: true })).status, 204)
  await until(async () => (await jobs('?state=dead')).length === 1)
  const [dead] = await jobs('?plugin=shop&state=dead')
  assert.ok(dead)
  assert.equal(dead.error, 'Error: out of boxes, see postgres://shop:[secret]@db/shop, [secret]')
  assert.equal((await admin.post(`/api/tasks/${dead.id}/retry`)).status, 200)
  await until(async () => (await jobs('?state=dead')).some(({ attempt }) => attempt === 2))
  const cli = async (...args: string[]): Promise<string> => {
    const child = spawn(process.execPath, [main, 'tasks', ...args], { env: { PATH: process.env.PATH, ...env } })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { output += String(chunk) })
    await new Promise(resolve => child.once('close', resolve))
    return output
  }
  assert.match(await cli('list', 'dead'), new RegExp(`${dead.id}\\s+shop/pack\\s+dead\\s+2 of 2 .*out of boxes`))
  assert.match(await cli('cancel', dead.id), /cancelled/)
  assert.match(await cli('cancel', dead.id), /no such job/)
  assert.match(await cli('forget', 'shop'), /"shop" is at work here/)
  assert.match(await cli('tidy'), /"tidy" is not understood: npm run tasks/)
  assert.deepEqual(await jobs('?state=dead'), [])

  // A task that is due once a year, and one of the host's own.
  assert.equal((await admin.post('/api/tasks/run', { task: 'shop/never' })).status, 404)
  await postgres.query(sql.unsafe`insert into auth_sessions (user_id, token_hash, expires_at) select id, 'old', now() - interval '1 hour' from users limit 1`)
  for (const task of ['shop/count', 'host/expired-sessions']) {
    assert.equal((await admin.post('/api/tasks/run', { task })).status, 200)
    await until(async () => (await jobs(`?task=${task}&state=done`)).length === 1)
  }
  assert.equal(await postgres.oneFirst(sql.type(z.object({ count: z.int() }))`select count(*) from auth_sessions where token_hash = 'old'`), 0)

  assert.equal((await fetch(`${url}/api/tasks`)).status, 401)
  assert.equal((await admin.post('/api/shop/price')).status, 204)
  await until(async () => await (await fetch(`${url}/api/shop/heard`)).text() === '[7]')
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0)
})

test('of twenty running jobs on a host that ends none is lost: another host has them at once', async (t) => {
  const database = await createDatabase(t, { migrated: 'plugins' })
  const { plugin: postgres } = await openTestPostgres(t, { url: database })
  await postgres.query(sql.unsafe`create table public.carried (item text)`)
  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'cart', { resources: ['postgres'] }, `
    import { once } from 'node:events'
    import { definePlugin, sql, z } from 'bulkhead'
    let begun = 0
    export default definePlugin({ start ({ routes, tasks }) {
      tasks.queue('carry', { input: z.object({ item: z.string(), isFast: z.boolean() }), concurrency: 20, retry: { limit: 0 } }, async ({ input, attempt, signal, tx }) => {
        begun += 1
        // The first host's: half of them mind their signal, half finish within the drain.
        if (attempt === 1) await once(signal, 'abort')
        if (attempt === 1 && !input.isFast) signal.throwIfAborted()
        await tx.query(sql.unsafe\`insert into public.carried (item) values (\${input.item})\`)
      })
      routes.post('/', { public: 'a test', body: z.object({ item: z.string(), isFast: z.boolean() }) }, async ({ input }) => { await tasks.send('carry', input.body) })
      routes.get('/', { public: 'a test', returns: z.number() }, () => begun)
    } })`)
  const first = await open(t, database, folder)
  for (let at = 0; at < 20; at += 1) assert.equal((await first.admin.post('/api/cart', { item: `i${at}`, isFast: at % 2 === 0 })).status, 204)
  await until(async () => await (await fetch(`${first.url}/api/cart`)).text() === '20')
  const second = await open(t, database, folder)
  first.host.signal('SIGTERM')
  assert.equal(await first.host.ended, 0, first.host.output())
  await until(async () => (await rowsOf(postgres, sql.unsafe`select item from public.carried`)).length === 20)
  assert.deepEqual(new Set(await rowsOf(postgres, sql.unsafe`select item from public.carried`)).size, 20)
  assert.deepEqual((await second.jobs('?plugin=cart')).map(({ state }) => state), Array(20).fill('done'))
  assert.equal((await second.jobs('?plugin=cart')).filter(({ attempt }) => attempt === 2).length, 10)
})
