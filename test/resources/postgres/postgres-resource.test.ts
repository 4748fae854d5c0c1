// The database as a plugin gets it: values, rows that are checked, transactions, prepared statements that survive a migration.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AnswerableError, ServiceUnavailable, sql, z } from '../../../core/contract/index.ts'
import type { Transaction } from '../../../core/contract/index.ts'
import { connectClient } from '../../../core/resources/postgres/postgres-client.ts'
import { openPostgres, PostgresTooOld, refuseOldServer } from '../../../core/resources/postgres/postgres-resource.ts'
import { createDatabase, serverUrl } from '../../support/database.ts'
import { openParts } from '../../support/part.ts'
import { until } from '../../support/until.ts'
import { openTestPostgres, postgresSettings } from '../../support/postgres.ts'

const nothing = z.object({})
const Count = z.object({ count: z.int() })

test('values arrive as the contract says, whatever the database has set', async t => {
  const url = await createDatabase(t)
  const client = await connectClient({ url, applicationName: 'test', searchPath: 'public', connectTimeoutMs: 20_000 })
  for (const setting of ['TimeZone = \'Asia/Kolkata\'', 'DateStyle = \'German, DMY\'', 'IntervalStyle = iso_8601']) {
    await client.query(`ALTER DATABASE ${new URL(url).pathname.slice(1)} SET ${setting}`)
  }
  await client.end()
  const { plugin: postgres } = await openTestPostgres(t, { url })
  assert.deepEqual(await postgres.one(sql.unsafe`SELECT
    '2026-11-23 23:50:42.123456+02'::timestamptz AS at, '2026-11-23 23:50:42'::timestamp AS local, '2026-11-23 23:50:42.1Z'::timestamptz AS tenth,
    '2026-11-23'::date AS day, 9007199254740991 AS big, 1.10::numeric AS price, '{"a": [1]}'::jsonb AS json, '\\x00ff'::bytea AS bytes, NULL::timestamptz AS never,
    'infinity'::timestamptz AS forever, '0044-03-15 BC'::date AS ides, ARRAY['2026-11-23 23:50:42Z'::timestamptz, NULL] AS times,
    ARRAY[[1::int8], [2]] AS bigs, ARRAY[1.10, NULL] AS prices, ARRAY['2026-11-23'::date] AS days, '1 day 02:00'::interval AS wait, true AS yes, 1.5::float8 AS half
  `), {
    at: '2026-11-23T21:50:42.123Z', local: '2026-11-23T23:50:42.000Z', tenth: '2026-11-23T23:50:42.100Z',
    day: '2026-11-23', big: 9007199254740991, price: '1.10', json: { a: [1] }, bytes: Buffer.from([0, 255]), never: null,
    forever: 'infinity', ides: '0044-03-15 BC', times: ['2026-11-23T23:50:42.000Z', null],
    bigs: [[1], [2]], prices: ['1.10', null], days: ['2026-11-23'], wait: '1 day 02:00:00', yes: true, half: 1.5
  })
})

test('a number too big to be exact is an error that says what to do, and the connection goes on', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: serverUrl(), poolMax: 1 })
  await assert.rejects(postgres.one(sql.unsafe`SELECT 9007199254740993 AS big`), /select it as text/)
  assert.equal(await postgres.oneFirst(sql.type(Count)`SELECT 1 AS count`), 1)
})

test('a row is checked and read by its query\'s type; a misfit is a logged error, not an answer', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: serverUrl() })
  const Row = z.object({ id: z.int(), name: z.string().transform(name => name.toUpperCase()) })
  assert.deepEqual(await postgres.any(sql.type(Row)`SELECT 1 AS id, 'ada' AS name, 'left out' AS more`), [{ id: 1, name: 'ADA' }])
  await assert.rejects(postgres.any(sql.type(Row)`SELECT 'x' AS id, NULL AS name`), error => {
    assert.ok(Error.isError(error) && !(error instanceof AnswerableError))
    assert.match(error.message, /id: .*number.*; name: .*string.*SELECT 'x' AS id, NULL AS name/)
    return true
  })
  const later = z.object({ id: z.int().refine(async () => true) })
  await assert.rejects(postgres.any(sql.type(later)`SELECT 1 AS id`), /must not be asynchronous/)
})

test('a transaction keeps all or nothing, and so does a savepoint in it', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: await createDatabase(t) })
  await postgres.query(sql.type(nothing)`CREATE TABLE entry (id int)`)
  const add = (to: Pick<Transaction, 'query'>, id: number) => to.query(sql.type(nothing)`INSERT INTO entry VALUES (${id})`)
  const ids = () => postgres.anyFirst(sql.type(z.object({ id: z.int() }))`SELECT id FROM entry ORDER BY id`)

  await assert.rejects(postgres.transaction(async tx => { await add(tx, 1); throw new RangeError('changed its mind') }), RangeError)
  assert.deepEqual(await ids(), [])
  const given = await postgres.transaction(async tx => {
    await add(tx, 2)
    await assert.rejects(tx.transaction(async inner => { await add(inner, 3); throw new RangeError('changed its mind') }), RangeError)
    await tx.transaction(inner => add(inner, 4))
    return 'the result of the work'
  })
  assert.equal(given, 'the result of the work')
  assert.deepEqual(await ids(), [2, 4])
})

test('of queries sent together in a transaction, none is kept when one fails', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: await createDatabase(t) })
  await postgres.query(sql.type(nothing)`CREATE TABLE entry (id int PRIMARY KEY)`)
  const insert = (id: number) => sql.type(nothing)`INSERT INTO entry VALUES (${id})`
  await assert.rejects(postgres.transaction(async tx => {
    await tx.query(insert(1))
    await Promise.all([1, 2, 3, 4, 5].map(id => tx.query(insert(id))))
  }))
  assert.equal(await postgres.oneFirst(sql.type(Count)`SELECT count(*) FROM entry`), 0)
})

test('a transaction that has ended takes no more queries', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: serverUrl() })
  const one = sql.type(Count)`SELECT 1 AS count`
  const tx = await postgres.transaction(async tx => tx)
  await assert.rejects(tx.one(one), /This transaction has ended/)
  await assert.rejects(tx.transaction(inner => inner.one(one)), /This transaction has ended/)
})

test('inside a savepoint the outer tx is refused in words, and does not hang', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: serverUrl() })
  await assert.rejects(postgres.transaction(tx => tx.transaction(() => tx.one(sql.type(Count)`SELECT 1 AS count`))), /use the tx that it was given/)
})

test('the pool is refused inside a transaction; work that outlives the transaction may use it', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: serverUrl(), poolMax: 1 })
  const one = sql.type(Count)`SELECT 1 AS count`
  await assert.rejects(postgres.transaction(() => postgres.one(one)), /Inside transaction\(\) use the tx it gives/)
  const ended = Promise.withResolvers<undefined>()
  const { after } = await postgres.transaction(async () => ({ after: ended.promise.then(() => postgres.one(one)) }))
  ended.resolve(undefined)
  assert.deepEqual(await after, { count: 1 })
})

test('an error that the server survives costs no connection', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: serverUrl(), poolMax: 1 })
  const pid = () => postgres.oneFirst(sql.type(z.object({ pid: z.int() }))`SELECT pg_backend_pid() AS pid`)
  const before = await pid()
  await assert.rejects(postgres.one(sql.type(nothing)`SELECT WHERE false`))
  await assert.rejects(postgres.query(sql.type(nothing)`SELECT 1 / 0`))
  await assert.rejects(postgres.transaction(async tx => { await tx.query(sql.type(nothing)`SELECT 1 / 0`) }))
  assert.equal(await pid(), before)
})

test('a session\'s state does not reach the next: a changed or half-open session is not reused', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: await createDatabase(t), poolMax: 1 })
  const path = () => postgres.oneFirst(sql.type(z.object({ path: z.string() }))`SELECT current_setting('search_path') AS path`)
  const usual = await path()
  await postgres.query(sql.type(nothing)`SET search_path = nowhere`)
  assert.equal(await path(), usual)
  await postgres.transaction(tx => tx.query(sql.type(nothing)`SET LOCAL search_path = nowhere`))
  assert.equal(await path(), usual)
  await postgres.query(sql.type(nothing)`BEGIN`)
  await postgres.query(sql.type(nothing)`CREATE TABLE kept ()`)
  assert.equal(await postgres.exists(sql.type(nothing)`SELECT FROM pg_tables WHERE tablename = 'kept'`), true)
})

test('a frequent statement is prepared and survives a change of its table, also in a transaction', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: await createDatabase(t), poolMax: 1 })
  await postgres.query(sql.type(nothing)`CREATE TABLE entry (id int)`)
  await postgres.query(sql.type(nothing)`INSERT INTO entry VALUES (7)`)
  const all = () => sql.type(z.record(z.string(), z.unknown()))`SELECT * FROM entry WHERE id > ${0}`
  for (let times = 0; times < 3; times++) assert.deepEqual(await postgres.any(all()), [{ id: 7 }])
  const prepared = sql.type(Count)`SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT * FROM entry%'`
  assert.equal(await postgres.oneFirst(prepared), 1)

  await postgres.query(sql.type(nothing)`ALTER TABLE entry ADD COLUMN name text`)
  assert.deepEqual(await postgres.any(all()), [{ id: 7, name: null }])
  await postgres.any(all())
  await postgres.query(sql.type(nothing)`ALTER TABLE entry ADD COLUMN more text`)
  assert.deepEqual(await postgres.transaction(tx => tx.any(all())), [{ id: 7, name: null, more: null }])
  await postgres.any(all())
  await postgres.query(sql.type(nothing)`DEALLOCATE ALL`)
  assert.deepEqual(await postgres.any(all()), [{ id: 7, name: null, more: null }])
})

test('a text that is new each time is not prepared', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: serverUrl(), poolMax: 1 })
  for (let width = 1; width <= 20; width++) {
    await postgres.query(sql.type(nothing)`SELECT ${sql.join(Array.from({ length: width }, () => sql.fragment`1`), sql.fragment`, `)}`)
  }
  assert.equal(await postgres.oneFirst(sql.type(Count)`SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT 1%'`), 0)
})

test('a server that is too old is refused by name', () => {
  assert.throws(() => { refuseOldServer({ number: 140_002, text: '14.2 (Debian 14.2-1)' }) },
    (error: unknown) => error instanceof PostgresTooOld && error.message === 'The database is PostgreSQL 14.2 (Debian 14.2-1); Bulkhead needs 15 or newer.')
  assert.doesNotThrow(() => { refuseOldServer({ number: 150_000, text: '15.0' }) })
})

test('a database that cannot be opened is told by place and reason, never by password', async () => {
  const right = new URL(serverUrl())
  const wrongs: [(url: URL) => void, RegExp][] = [
    [url => { url.password = 'guess' }, /password authentication failed/],
    [url => { url.pathname = '/nowhere' }, /database "nowhere" does not exist/],
    [url => { url.port = '1' }, /ECONNREFUSED/],
    [url => { url.hostname = 'nowhere.invalid' }, /ENOTFOUND|EAI_AGAIN|no answer/]
  ]
  for (const [change, reason] of wrongs) {
    const wrong = new URL(right)
    change(wrong)
    await assert.rejects(openPostgres({ ...postgresSettings, url: wrong.href }, openParts()), error => {
      assert.ok(Error.isError(error))
      assert.match(error.message, reason)
      assert.ok(error.message.includes(`${wrong.host}${wrong.pathname}`), error.message)
      assert.ok(!error.message.includes(wrong.password))
      return true
    })
  }
})

async function countSessions (url: string): Promise<number> {
  const client = await connectClient({ url, applicationName: 'operator', connectTimeoutMs: 20_000 })
  const { rowCount } = await client.query('SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()')
  await client.end()
  return rowCount ?? 0
}

test('opening gives up when its signal aborts, with the reason, and leaves no connection', async t => {
  const url = await createDatabase(t)
  const abort = new AbortController()
  const opening = openPostgres({ ...postgresSettings, url }, openParts({ signal: abort.signal }))
  abort.abort(new Error('the host stops'))
  await assert.rejects(opening, /the host stops/)
  await until(async () => await countSessions(url) === 0)
})

test('closing ends every connection, and whoever asks afterwards gets 503', async t => {
  const url = await createDatabase(t)
  const { postgres, close } = await openTestPostgres(t, { url })
  await Promise.all(Array.from({ length: 4 }, () => postgres.query(sql.type(nothing)`SELECT pg_sleep(0.01)`)))
  await close()
  await assert.rejects(postgres.query(sql.type(nothing)`SELECT`), ServiceUnavailable)
  await assert.rejects(postgres.transaction(async () => 'never'), ServiceUnavailable)
  assert.equal(await countSessions(url), 0)
})
