// Sessions with one owner each: what a plugin leaves in its own reaches nobody else, and all of them together stay within the limit.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordAudit } from '../../../core/access/audit/audit-log.ts'
import { prepareAccess } from '../../../core/access/index.ts'
import { ServiceUnavailable, sql, z, type Postgres } from '../../../core/contract/index.ts'
import { connectClient } from '../../../core/resources/postgres/postgres-client.ts'
import { createDatabase } from '../../support/database.ts'
import { openTestPostgres } from '../../support/postgres.ts'
import { undo } from '../../support/undo.ts'
import { until } from '../../support/until.ts'

const nothing = z.object({})
const Pid = z.object({ pid: z.int() })
const Text = z.object({ text: z.string().nullable() })
const pidOf = (postgres: Pick<Postgres, 'oneFirst'>, seconds = 0): Promise<number> =>
  postgres.oneFirst(sql.type(Pid)`SELECT pg_backend_pid() AS pid FROM pg_sleep(${seconds})`)

const ours = 'SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = \'bulkhead\''

const busy = { poolMax: 10, acquireQueueMax: 100 }

/** What a plugin can leave behind in a session without a statement that the host would notice. */
const leaks: Record<string, ReturnType<typeof sql.unsafe>> = {
  'a temporary table': sql.unsafe`CREATE TEMPORARY TABLE users (id int)`,
  'a temporary view': sql.unsafe`CREATE TEMPORARY VIEW roles AS SELECT 1 AS id`,
  'a temporary type': sql.unsafe`CREATE TYPE pg_temp.uuid AS (a int)`,
  'a setting': sql.unsafe`SELECT set_config('search_path', 'nowhere', false)`,
  'a role': sql.unsafe`SELECT set_config('role', 'pg_monitor', false)`,
  'a read-only session': sql.unsafe`SELECT set_config('default_transaction_read_only', 'on', false)`,
  'an advisory lock': sql.unsafe`SELECT pg_advisory_lock(7)`,
  'a cursor': sql.unsafe`DECLARE held CURSOR WITH HOLD FOR SELECT 1`,
  'a prepared statement': sql.unsafe`PREPARE s1 AS SELECT 2`,
  'a listener': sql.unsafe`LISTEN access`
}

test('what a plugin leaves in its sessions changes nothing for the host or for another plugin', async t => {
  const url = await createDatabase(t, { migrated: 'core' })
  const { postgres: host, client } = await openTestPostgres(t, { url, poolMax: 5 })
  const [leaky, other] = [client.scoped('leaky'), client.scoped('other')]
  const state = async (postgres: Postgres): Promise<unknown> => [
    await postgres.anyFirst(sql.type(Text)`SELECT to_regclass('pg_temp.users')::text || to_regclass('pg_temp.roles')::text AS text`),
    await postgres.any(sql.type(z.object({ path: z.string(), role: z.string(), readOnly: z.string() }))`
      SELECT current_setting('search_path') AS path, current_setting('role') AS role, current_setting('default_transaction_read_only') AS "readOnly"`),
    await postgres.any(sql.type(z.object({ name: z.string() }))`SELECT name FROM pg_cursors WHERE name = 'held'`),
    await postgres.anyFirst(sql.type(z.object({ channel: z.string() }))`SELECT pg_listening_channels() AS channel`),
    await postgres.oneFirst(sql.type(z.object({ held: z.int() }))`SELECT count(*) AS held FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`),
    await postgres.oneFirst(sql.type(z.object({ count: z.int() }))`SELECT count(*) FROM public.users`)
  ]
  const before = [await state(host), await state(other)]
  for (const [name, leak] of Object.entries(leaks)) {
    // In more sessions than the plugin can have, so in all that it has.
    await Promise.all(Array.from({ length: 6 }, () => leaky.query(leak).catch(() => undefined)))
    for (let times = 0; times < 3; times++) {
      const [now] = await Promise.all([Promise.all([state(host), state(other)]), state(host), state(other)])
      assert.deepEqual(now, before, name)
    }
  }
})

test('the host writes through a plugin\'s transaction into its own tables, despite temporary ones', async t => {
  const url = await createDatabase(t, { migrated: 'core' })
  const { postgres: host, plugin } = await openTestPostgres(t, { url })
  await prepareAccess(host)
  const entry = { actor: undefined, action: 'thing.do', resource: 'thing' }
  await plugin.transaction(async tx => {
    await tx.query(sql.unsafe`CREATE TEMPORARY TABLE audit_log (LIKE public.audit_log INCLUDING ALL) ON COMMIT DROP`)
    await recordAudit(tx, entry)
  })
  assert.equal(await host.oneFirst(sql.type(z.object({ count: z.int() }))`SELECT count(*) FROM public.audit_log`), 1)
})

test('sessions never change their owner, keep to the limit, and 100 plugins have their turns', async t => {
  const url = await createDatabase(t)
  const { postgres: host, client, close } = await openTestPostgres(t, { url, poolMax: 5, acquireTimeoutMs: 20_000 })
  const operator = await connectClient({ url, applicationName: 'operator', connectTimeoutMs: 20_000 })
  undo(t, () => operator.end())
  const ownerOf = new Map<number, string>()
  const note = (pid: number, owner: string): void => {
    assert.equal(ownerOf.get(pid) ?? owner, owner)
    ownerOf.set(pid, owner)
  }
  const over = new AbortController()
  let most = 0
  const counting = (async () => {
    while (!over.signal.aborted) {
      most = Math.max(most, (await operator.query(ours)).rowCount ?? 0)
    }
  })()
  await Promise.all(Array.from({ length: 100 }, async (_, index) => {
    const own = client.scoped(`p${index}`)
    note(await pidOf(own), `p${index}`)
    note(await pidOf(host), 'host')
    note(await own.transaction(tx => pidOf(tx)), `p${index}`)
  }))
  over.abort()
  await counting
  // Five of the pool, and the one on which the health question is asked.
  assert.ok(most <= 6, `${most} sessions`)
  assert.ok(ownerOf.size >= 100)
  await close()
  await until(async () => (await operator.query(ours)).rowCount === 0)
})

test('a plugin that is alone keeps its sessions, and so does the host', async t => {
  const { postgres: host, plugin } = await openTestPostgres(t, { url: await createDatabase(t) })
  const [hosts, plugins] = [new Set<number>(), new Set<number>()]
  for (let times = 0; times < 20; times++) {
    hosts.add(await pidOf(host))
    plugins.add(await pidOf(plugin))
  }
  assert.deepEqual([hosts.size, plugins.size], [1, 1])
})

test('one plugin gets its share; another and the host are served at once; the refusal names it', async t => {
  const { postgres: host, client } = await openTestPostgres(t, { ...busy, url: await createDatabase(t), acquireTimeoutMs: 2_000 })
  const greedy = client.scoped('greedy')
  const release = Promise.withResolvers<undefined>()
  let begun = 0
  const refusals: unknown[] = []
  const hold = (postgres: Postgres): Promise<void> => postgres.transaction(async tx => {
    await tx.query(sql.type(nothing)`SELECT`)
    begun++
    await release.promise
  })
  const held = Array.from({ length: 30 }, () => hold(greedy).catch((error: unknown) => { refusals.push(error) }))
  await until(() => begun === 3)
  // The fourth place of its share is for what is short.
  await pidOf(greedy)
  for (const id of ['second', 'third']) await pidOf(client.scoped(id))
  await Promise.all([pidOf(host), pidOf(host)])
  assert.equal(refusals.length, 0, 'they were served while the greedy one still waited for its share')
  await until(() => refusals.length === 27)
  release.resolve(undefined)
  await Promise.all(held)
  assert.equal(begun, 3)
  const [refusal] = refusals
  assert.ok(refusal instanceof ServiceUnavailable && refusal.retryAfterMs === 2_000)
  assert.match(String(refusal.cause), /plugin "greedy" has 3 of the 4 places for the database that are its share/)
})

test('several greedy plugins together leave a place for one that has none, and the host its own', async t => {
  const { postgres: host, client } = await openTestPostgres(t, { ...busy, url: await createDatabase(t), acquireTimeoutMs: 2_000 })
  const release = Promise.withResolvers<undefined>()
  const held = ['one', 'two', 'three'].flatMap(id => Array.from({ length: 20 }, () => client.scoped(id).transaction(async tx => {
    await tx.query(sql.type(nothing)`SELECT`)
    await release.promise
  }).catch(() => undefined)))
  await until(async () => await host.oneFirst(sql.type(z.object({ count: z.int() }))`
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'`) >= 5)
  await pidOf(client.scoped('four'))
  await Promise.all([pidOf(host, 0.05), pidOf(host, 0.05)])
  release.resolve(undefined)
  await Promise.all(held)
})

test('a user\'s transactions leave another user of the plugin a place for one', async t => {
  const { AsyncLocalStorage } = await import('node:async_hooks')
  const user = new AsyncLocalStorage<string>()
  const { plugin } = await openTestPostgres(t, { url: await createDatabase(t), poolMax: 10, acquireTimeoutMs: 2_000 }, () => user.getStore())
  const release = Promise.withResolvers<undefined>()
  let begun = 0
  const held = user.run('slow', () => Array.from({ length: 20 }, () => plugin.transaction(async tx => {
    await tx.query(sql.type(nothing)`SELECT`)
    begun++
    await release.promise
  }).catch(() => undefined)))
  await until(() => begun === 2)
  await user.run('quick', () => plugin.transaction(tx => pidOf(tx)))
  assert.equal(begun, 2)
  release.resolve(undefined)
  await Promise.all(held)
})
