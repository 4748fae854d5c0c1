// Moves old rows from the database into objects. Each row ends up in exactly one object, even when the process dies in
// between.

import { createHash, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { sql, z, type Audit, type Log, type Postgres, type Storage } from '../contract/index.ts'

export type Source = 'audit_log' | 'log_entries'

export interface ArchiveParts {
  readonly postgres: Postgres
  /** The part of the storage that belongs to the host. */
  readonly storage: Storage
  /** Receives one entry for each object: its key, its number of rows and the checksum of its text. */
  readonly audit: Pick<Audit, 'record'>
}

interface Archive {
  readonly source: Source
  readonly olderThanDays: number
  readonly signal: AbortSignal
  readonly log: Log
}

/** Maximum number of rows in one object. The process holds them in memory twice. */
const rowsMax = 2_000

const Place = z.object({ object: z.string() })
const Line = z.object({ line: z.string() })
const Count = z.object({ count: z.int() })

/**
 * Archives one object at a time: notes its rows, writes them, reads them back, and deletes them in one transaction with
 * the note. After a crash in between, the next run finds the note and writes the same rows to the same object. Resolves
 * with the number of rows that it moved, once no row is old enough.
 */
export async function archive ({ postgres, storage, audit }: ArchiveParts, { source, olderThanDays, signal, log }: Archive): Promise<number> {
  let moved = 0
  for (;;) {
    signal.throwIfAborted()
    const object = await findNoted(postgres, source) ?? await note(postgres, source, olderThanDays)
    if (object === undefined) return moved
    const lines = await postgres.anyFirst(read(source, object))
    const text = lines.map(line => `${line}\n`).join('')
    if (lines.length > 0) await writeWhole(storage, object, text)
    await postgres.transaction(async tx => {
      const count = await tx.oneFirst(remove(source, object))
      // Two runs may archive the same object. The slower one finds that its rows have already been deleted from the
      // table.
      if (count !== lines.length) {
        throw new Error(`The object "${object}" has ${lines.length} rows of ${source}, but ${count} could be deleted, so none was; the next run tries again`)
      }
      await tx.query(sql.type(z.object({}))`delete from bulkhead.archive_row where source = ${source} and object = ${object}`)
      const detail = { object, rows: count, sha256: createHash('sha256').update(text).digest('hex') }
      if (count > 0) await audit.record(tx, { actor: undefined, action: 'archive.write', resource: source, detail })
    })
    moved += lines.length
    log.info({ object, rows: lines.length }, `${lines.length} rows of ${source} are in the storage now`)
  }
}

async function writeWhole (storage: Storage, object: string, text: string): Promise<void> {
  await storage.write(object, await promisify(gzip)(text), { contentType: 'application/gzip' })
  const there = await promisify(gunzip)(await storage.read(object))
  if (!there.equals(Buffer.from(text))) throw new Error(`The object "${object}" does not hold what was written to it; the rows stay in the database`)
}

const findNoted = async (postgres: Postgres, source: Source): Promise<string | undefined> =>
  await postgres.maybeOneFirst(sql.type(Place)`select object from bulkhead.archive_row where source = ${source} limit 1`) ?? undefined

/**
 * Assigns the oldest rows to a new object and returns its key; undefined when no row is old enough. The key is
 * `<source>/<day of the oldest row in UTC>/<uuid>.jsonl.gz`.
 */
async function note (postgres: Postgres, source: Source, days: number): Promise<string | undefined> {
  const name = `${randomUUID()}.jsonl.gz`
  const noted = await postgres.anyFirst(source === 'audit_log'
    ? sql.type(Place)`
      with old as (
        select a.id, a.created_at as at from public.audit_log a where a.created_at < now() - make_interval(days => ${days})
        order by a.created_at, a.id limit ${rowsMax}
      )
      insert into bulkhead.archive_row (source, row_id, object)
      select 'audit_log', id, 'audit-log/' || (select to_char(min(at) at time zone 'UTC', 'YYYY-MM-DD') from old) || '/' || ${name} from old
      returning object
    `
    : sql.type(Place)`
      with old as (
        select l.id, l.timestamp as at from public.log_entries l where l.timestamp < now() - make_interval(days => ${days})
        order by l.timestamp, l.id limit ${rowsMax}
      )
      insert into bulkhead.archive_row (source, row_id, object)
      select 'log_entries', id, 'log-entries/' || (select to_char(min(at) at time zone 'UTC', 'YYYY-MM-DD') from old) || '/' || ${name} from old
      returning object
    `)
  return noted[0]
}

const read = (source: Source, object: string) => source === 'audit_log'
  ? sql.type(Line)`
    select (to_jsonb(a) || jsonb_build_object('plugin', s.plugin, 'is_by_plugin', coalesce(s.is_by_plugin, false)))::text as line
    from public.audit_log a join bulkhead.archive_row r on r.source = 'audit_log' and r.row_id = a.id
    left join bulkhead.audit_source s on s.audit_id = a.id
    where r.object = ${object} order by a.created_at, a.id
  `
  : sql.type(Line)`
    select to_jsonb(l)::text as line from public.log_entries l join bulkhead.archive_row r on r.source = 'log_entries' and r.row_id = l.id
    where r.object = ${object} order by l.timestamp, l.id
  `

const remove = (source: Source, object: string) => source === 'audit_log'
  ? sql.type(Count)`select bulkhead.delete_archived_audit(${object}) as count -- unchecked: it is there while the settings ask for it`
  : sql.type(Count)`
    with gone as (
      delete from public.log_entries l using bulkhead.archive_row r
      where r.source = 'log_entries' and r.object = ${object} and l.id = r.row_id returning l.id
    )
    select count(*) as count from gone
  `
