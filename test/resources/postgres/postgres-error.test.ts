// Each error of the server becomes its word of the catalogue, and says nothing of the inside.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { AnswerableError, Conflict, NotFound, ServiceUnavailable, ValidationFailed, sql, z } from '../../../core/contract/index.ts'
import type { Postgres } from '../../../core/contract/index.ts'
import { createDatabase } from '../../support/database.ts'
import { openTestPostgres } from '../../support/postgres.ts'

const nothing = z.object({})

async function openLibrary (t: TestContext): Promise<Postgres> {
  const { plugin: postgres } = await openTestPostgres(t, { url: await createDatabase(t) })
  for (const statement of [
    sql.type(nothing)`CREATE TABLE shelf (id int PRIMARY KEY)`,
    sql.type(nothing)`CREATE TABLE book (
      id int PRIMARY KEY,
      shelf_id int REFERENCES shelf,
      title varchar(10) NOT NULL CHECK (title <> 'secret'),
      pages smallint,
      lent daterange,
      CONSTRAINT far_future CHECK (pages < 10000),
      EXCLUDE USING gist (lent WITH &&)
    )`,
    sql.type(nothing)`CREATE TABLE label (shelf_id int REFERENCES shelf ON DELETE RESTRICT)`,
    sql.type(nothing)`CREATE TABLE tag (name text PRIMARY KEY)`,
    sql.type(nothing)`INSERT INTO shelf VALUES (1), (2)`,
    sql.type(nothing)`INSERT INTO label VALUES (2)`,
    sql.type(nothing)`INSERT INTO book VALUES (1, 1, 'first', 1, '[2026-01-01,2026-02-01)')`
  ]) await postgres.query(statement)
  return postgres
}

const text = (value: string) => value
const cases = [
  ['a key that is taken is a conflict', sql.type(nothing)`INSERT INTO book VALUES (1, 1, 'again')`, Conflict, []],
  ['a reference to nothing is a conflict', sql.type(nothing)`INSERT INTO book VALUES (2, 9, 'lost')`, Conflict, []],
  ['removing what is referred to is a conflict', sql.type(nothing)`DELETE FROM shelf WHERE id = 1`, Conflict, []],
  ['removing what is referred to by a restricting key is a conflict', sql.type(nothing)`DELETE FROM shelf WHERE id = 2`, Conflict, []],
  ['an overlap that is excluded is a conflict', sql.type(nothing)`INSERT INTO book VALUES (2, 1, 'late', 1, '[2026-01-31,2026-03-01)')`, Conflict, []],
  ['a missing value is invalid, by its column', sql.type(nothing)`INSERT INTO book VALUES (2, 1, NULL)`, ValidationFailed, ['title']],
  ['a value that a column refuses is invalid, by its column', sql.type(nothing)`INSERT INTO book VALUES (2, 1, 'secret')`, ValidationFailed, ['title']],
  ['a row that a table refuses is invalid', sql.type(nothing)`INSERT INTO book VALUES (2, 1, 'long', 20000)`, ValidationFailed, []],
  ['a text that is too long is invalid', sql.type(nothing)`INSERT INTO book VALUES (2, 1, ${'x'.repeat(11)})`, ValidationFailed, []],
  ['a number that is too big is invalid', sql.type(nothing)`INSERT INTO book VALUES (2, 1, 'big', 40000)`, ValidationFailed, []],
  ['a value of the wrong shape is invalid', sql.type(nothing)`SELECT FROM shelf WHERE id = ${text('one')}::int`, ValidationFailed, []],
  ['a uuid of the wrong shape is invalid', sql.type(nothing)`SELECT WHERE gen_random_uuid() = ${'no-uuid'}`, ValidationFailed, []],
  ['a date of the wrong shape is invalid', sql.type(nothing)`SELECT ${'yesterdayish'}::date`, ValidationFailed, []],
  ['a date that is none is invalid', sql.type(nothing)`SELECT ${'2026-02-30'}::date`, ValidationFailed, []],
  ['a NUL in a text is invalid', sql.type(nothing)`SELECT ${'a\0b'}::text`, ValidationFailed, []],
  ['an offset that no time zone has is invalid', sql.type(nothing)`SELECT ${'2030-01-01T00:00:00+16:00'}::timestamptz`, ValidationFailed, []],
  ['a pattern that cannot be read is invalid', sql.type(nothing)`SELECT 'a' ~ ${'('}`, ValidationFailed, []],
  ['an escape with nothing behind it is invalid', sql.type(nothing)`SELECT 'ab' LIKE ${'a\\'}`, ValidationFailed, []],
  ['a path in JSON that cannot be read is invalid', sql.type(nothing)`SELECT jsonb_path_query('{}'::jsonb, '$.a ? (@ like_regex "(")')`, ValidationFailed, []],
  ['half of a surrogate pair in JSON is invalid', sql.type(nothing)`SELECT ${'"\\ud800"'}::jsonb`, ValidationFailed, []],
  ['a limit below zero is invalid', sql.type(nothing)`SELECT FROM shelf LIMIT ${-1}`, ValidationFailed, []],
  ['a value that no index holds is invalid', sql.type(nothing)`
    INSERT INTO tag SELECT string_agg(md5(n::text), '') FROM generate_series(1, 500) AS n
  `, ValidationFailed, []]
] as const

test('errors of the server in the words of the catalogue', async t => {
  const postgres = await openLibrary(t)
  for (const [fact, query, kind, paths] of cases) {
    await t.test(fact, async () => {
      const error: unknown = await postgres.query(query).then(() => undefined, (error: unknown) => error)
      assert.ok(error instanceof kind, String(error))
      if (error instanceof ValidationFailed) assert.deepEqual(error.errors.map(({ path }) => path), paths)
      assert.doesNotMatch(JSON.stringify([error.message, error.errors]), /book|shelf|INSERT|SELECT|far_future|secret|127\.0\.0\.1/)
      assert.ok(Error.isError(error.cause), 'the log is told what happened')
    })
  }
})

test('one and many without a row are not found, and maybeOne gives null', async t => {
  const postgres = await openLibrary(t)
  const none = sql.type(z.object({ id: z.int() }))`SELECT id FROM book WHERE id = 99`
  for (const method of ['one', 'oneFirst', 'many', 'manyFirst'] as const) await assert.rejects(postgres[method](none), NotFound)
  assert.equal(await postgres.maybeOne(none), null)
  assert.deepEqual(await postgres.any(none), [])
})

test('a mistake in the code stays what it is, and is no answer', async t => {
  const postgres = await openLibrary(t)
  const id = z.object({ id: z.int() })
  for (const [query, words] of [
    [sql.type(id)`SELECT id FROM bok`, /bok/],
    [sql.type(id)`SELEKT`, /syntax error/],
    [sql.type(id)`SELECT 1 / 0 AS id`, /division by zero/],
    [sql.type(id)`DELETE FROM label; DELETE FROM shelf`, /multiple commands/]
  ] as const) {
    await assert.rejects(postgres.any(query), error => !(error instanceof AnswerableError) && Error.isError(error) && words.test(error.message))
  }
  assert.equal(await postgres.oneFirst(sql.type(z.object({ count: z.int() }))`SELECT count(*) FROM label`), 1)
})

test('inside a transaction the errors are the same, and the work may catch them in a savepoint', async t => {
  const postgres = await openLibrary(t)
  const taken = sql.type(nothing)`INSERT INTO shelf VALUES (1)`
  const caught = await postgres.transaction(async tx => {
    const error: unknown = await tx.transaction(inner => inner.query(taken)).catch((error: unknown) => error)
    await tx.query(sql.type(nothing)`INSERT INTO shelf VALUES (3)`)
    return error
  })
  assert.ok(caught instanceof Conflict)
  await assert.rejects(postgres.transaction(tx => tx.query(taken)), Conflict)
  assert.equal(await postgres.exists(sql.type(nothing)`SELECT FROM shelf WHERE id = 3`), true)
})

test('two transactions that wait for each other both succeed: the loser runs again', async t => {
  const postgres = await openLibrary(t)
  let runs = 0
  const bothHaveOne = Promise.withResolvers<undefined>()
  const lock = (first: number, second: number) => postgres.transaction(async tx => {
    runs++
    await tx.query(sql.type(nothing)`SELECT FROM shelf WHERE id = ${first} FOR UPDATE`)
    if (runs === 2) bothHaveOne.resolve(undefined)
    await bothHaveOne.promise
    await tx.query(sql.type(nothing)`SELECT FROM shelf WHERE id = ${second} FOR UPDATE`)
  })
  await Promise.all([lock(1, 2), lock(2, 1)])
  // The loser may lose to the winner's end once more.
  assert.ok(runs >= 3, `${runs} runs`)
})

test('a transaction that loses every time ends in 503, which says to come again', async t => {
  const postgres = await openLibrary(t)
  const lost = sql.type(nothing)`DO $$ BEGIN RAISE 'lost' USING ERRCODE = 'serialization_failure'; END $$`
  await assert.rejects(postgres.transaction(tx => tx.query(lost)), error => error instanceof ServiceUnavailable && error.retryAfterMs === 1_000)
})
