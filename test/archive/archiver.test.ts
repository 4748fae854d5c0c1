// Rows that have grown old are in the storage, and no longer in the database: each once, whoever is killed. Nothing else leaves the audit log.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { recordAudit } from '../../core/access/audit/audit-log.ts'
import { prepareAccess } from '../../core/access/index.ts'
import { archive, type Source } from '../../core/archive/archiver.ts'
import { sql, z, type Postgres, type Storage } from '../../core/contract/index.ts'
import { openStorage } from '../../core/resources/storage/storage-resource.ts'
import { createDatabase } from '../support/database.ts'
import { temporaryFolder } from '../support/host.ts'
import { createLog, openParts } from '../support/part.ts'
import { openTestPostgres } from '../support/postgres.ts'

interface Place { readonly url: string, readonly path: string, readonly postgres: Postgres, readonly storage: Storage }

async function open (t: TestContext, { auditIsArchived = true } = {}): Promise<Place> {
  const [url, path] = [await createDatabase(t, { migrated: 'core' }), await temporaryFolder(t)]
  const { postgres } = await openTestPostgres(t, { url })
  await prepareAccess(postgres, undefined, { auditIsArchived })
  return { url, path, postgres, storage: (await openStorage({ kind: 'folder', path }, openParts())).value.scoped('host') }
}

/** `old` rows of 41 days and more, and one of today. */
const fill = async ({ postgres }: Place, old: number): Promise<void> => {
  const one = sql.type(z.object({}))
  await postgres.query(one`
    insert into public.audit_log (actor_id, actor_name, action, resource, detail, created_at)
    select gen_random_uuid(), 'ada', 'thing.do', 'thing', jsonb_build_object('at', n), now() - interval '41 days' - make_interval(secs => n)
    from generate_series(1, ${old}::int) n`)
  await postgres.query(one`insert into public.audit_log (actor_id, actor_name, action, resource) values (gen_random_uuid(), 'ada', 'thing.new', 'thing')`)
  await postgres.query(one`
    insert into public.log_entries (service, message, timestamp) select 'web', 'line ' || n, now() - interval '41 days' from generate_series(1, ${old}::int) n`)
  await postgres.query(one`insert into public.log_entries (service, message) values ('web', 'new')`)
}
const ids = async ({ postgres }: Place, source: Source): Promise<readonly string[]> => postgres.anyFirst(
  source === 'audit_log' ? sql.type(z.object({ id: z.uuid() }))`select id from public.audit_log` : sql.type(z.object({ id: z.uuid() }))`select id from public.log_entries`)
const run = (place: Place, source: Source, signal = new AbortController().signal): Promise<number> =>
  archive({ ...place, audit: { record: recordAudit } }, { source, olderThanDays: 40, signal, log: createLog() })
type Archived = Record<string, unknown> & { id: string }
async function archived ({ storage }: Place, prefix: string): Promise<Archived[]> {
  const objects = await storage.list(prefix)
  const texts = await Promise.all(objects.map(async ({ key }) => gunzipSync(await storage.read(key)).toString()))
  return texts.flatMap(text => text.trimEnd().split('\n')).map(line => JSON.parse(line) as Archived)
}

void suite('the archive', { concurrency: true }, () => {
  for (const [source, prefix] of [['audit_log', 'audit-log/'], ['log_entries', 'log-entries/']] as const) {
    test(`each old row of ${source} is in one object, though the archiver is killed at every step`, async (t) => {
      const place = await open(t)
      await fill(place, 2_500)
      await place.postgres.query(sql.type(z.object({}))`
        insert into bulkhead.audit_source (audit_id, plugin, is_by_plugin) select id, 'notes', true from public.audit_log
      `)
      const before = await ids(place, source)
      for (const deathAt of ['before write', 'after write', 'before commit']) {
        const child = spawn(process.execPath, [join(import.meta.dirname, 'archive-fixture.ts'), place.url, place.path, source, deathAt], { stdio: ['ignore', 'ignore', 'inherit'] })
        assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL'], deathAt)
        assert.deepEqual(new Set(await ids(place, source)), new Set(before), `${deathAt}: nothing has left the database`)
      }
      assert.equal(await run(place, source), 2_500)
      const there = await archived(place, prefix)
      const left = new Set(await ids(place, source))
      const gone = before.filter(id => !left.has(id))
      assert.equal(gone.length, 2_500)
      assert.deepEqual(there.map(({ id }) => id).toSorted(), gone.toSorted())
      assert.equal((await place.storage.list(prefix)).length, 2)
      if (source === 'audit_log') {
        assert.ok(there.every(row => row['plugin'] === 'notes' && row['is_by_plugin'] === true), 'the archive says which plugin wrote an entry')
      }
      assert.equal(await place.postgres.oneFirst(sql.type(z.object({ count: z.int() }))`select count(*) as count from bulkhead.archive_row`), 0)
      // The audit log says itself what has left, and where to.
      const told = await place.postgres.anyFirst(sql.type(z.object({ rows: z.int() }))`
        select (detail->>'rows')::int as rows from public.audit_log where action = 'archive.write' order by rows -- unchecked: of these it is there`)
      assert.deepEqual(told, [500, 2_000])
      assert.equal(await run(place, source), 0)
    })
  }

  test('an object that does not hold what was written to it is no reason to delete', async (t) => {
    const place = await open(t)
    await fill(place, 3)
    const storage: Storage = Object.assign(Object.create(place.storage) as Storage, {
      write: (key: string, content: Buffer) => place.storage.write(key, content),
      read: async () => (await import('node:zlib')).gzipSync('something else')
    })
    await assert.rejects(run({ ...place, storage }, 'audit_log'), /does not hold what was written/)
    assert.equal((await ids(place, 'audit_log')).length, 4)
    await assert.rejects(run(place, 'audit_log', AbortSignal.abort(new Error('the time is up'))), /the time is up/)
  })

  test('the audit log releases only archived entries over 30 days old, and only where configured', async (t) => {
    const place = await open(t)
    await fill(place, 2)
    const [{ id } = { id: '' }] = await place.postgres.any(sql.type(z.object({ id: z.uuid() }))`select id from public.audit_log where action = 'thing.new'`)
    const forget = async (): Promise<number> => place.postgres.oneFirst(
      sql.type(z.object({ count: z.int() }))`select bulkhead.delete_archived_audit('forged') as count -- unchecked: it is there in this test`)
    assert.equal(await forget(), 0)
    await place.postgres.query(sql.type(z.object({}))`insert into bulkhead.archive_row (source, row_id, object) values ('audit_log', ${id}, 'forged')`)
    assert.equal(await forget(), 0, 'it is of today')
    assert.equal((await ids(place, 'audit_log')).length, 3)
    await prepareAccess(place.postgres)
    await assert.rejects(forget(), /does not exist/)
    await prepareAccess(place.postgres, undefined, { auditIsArchived: true })
    assert.equal(await forget(), 0)
  })
})
