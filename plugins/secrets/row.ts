// Contains the statements on the tables of secrets and their versions.

import { NotFound, sql, z, type Postgres, type Transaction } from 'bulkhead'
import { scopes, type Page, type Secret, type SecretVersion } from './form.ts'

type Queries = Pick<Postgres, 'any' | 'maybeOne' | 'oneFirst'>

const Row = z.object({
  id: z.uuid(),
  projectId: z.uuid().nullable(),
  name: z.string(),
  scope: z.enum(scopes),
  version: z.int(),
  writtenBy: z.uuid().nullable(),
  writtenAt: z.iso.datetime(),
  createdAt: z.iso.datetime(),
  deletedAt: z.iso.datetime().nullable(),
  envelope: z.instanceof(Buffer)
})
export type Row = z.output<typeof Row>

export const withoutValue = ({ id, projectId, name, scope, version, writtenBy, writtenAt, createdAt, deletedAt }: Row): Secret =>
  ({ id, projectId, name, scope, version, writtenBy, writtenAt, createdAt, deletedAt })

/** Finds a secret by name. Resolves with undefined when there is none; a deleted secret has `deletedAt` set. */
export async function findRow (queries: Queries, projectId: string | null, name: string): Promise<Row | undefined> {
  return await queries.maybeOne(sql.type(Row)`
    select s.id, s.project_id as "projectId", s.name, s.scope, s.version, coalesce(v.written_by, s.created_by) as "writtenBy",
      coalesce(v.written_at, s.updated_at) as "writtenAt", s.created_at as "createdAt", d.deleted_at as "deletedAt", s.encrypted_value as envelope
    from public.secrets s
    left join secrets.version v on v.secret_id = s.id and v.version = s.version
    left join secrets.deletion d on d.secret_id = s.id
    where s.project_id is not distinct from ${projectId} and s.name = ${name}
  `) ?? undefined
}

/**
 * Locks the secret until the transaction ends. The row is read after the lock is held, so that it includes what another
 * transaction has just written.
 */
export async function lockRow (tx: Transaction, projectId: string | null, name: string): Promise<Row | undefined> {
  await tx.query(sql.type(z.object({ id: z.uuid() }))`
    select id from public.secrets where project_id is not distinct from ${projectId} and name = ${name} for update
  `)
  return findRow(tx, projectId, name)
}

export const requireRow = (row: Row | undefined, name: string): Row => {
  if (row === undefined) throw new NotFound(`There is no secret "${name}".`)
  return row
}

/** Lists the secrets ordered by name. */
export async function listRows (
  queries: Queries, projectId: string | null, { limit, offset, deleted }: Page & { deleted: boolean }
): Promise<{ items: Secret[], total: number }> {
  const items = await queries.any(sql.type(Row.omit({ envelope: true }))`
    select s.id, s.project_id as "projectId", s.name, s.scope, s.version, coalesce(v.written_by, s.created_by) as "writtenBy",
      coalesce(v.written_at, s.updated_at) as "writtenAt", s.created_at as "createdAt", d.deleted_at as "deletedAt"
    from public.secrets s
    left join secrets.version v on v.secret_id = s.id and v.version = s.version
    left join secrets.deletion d on d.secret_id = s.id
    where s.project_id is not distinct from ${projectId} and (d.secret_id is not null) = ${deleted}
    order by s.name limit ${limit} offset ${offset}
  `)
  const total = await queries.oneFirst(sql.type(z.object({ total: z.int() }))`
    select count(*) as total from public.secrets s left join secrets.deletion d on d.secret_id = s.id
    where s.project_id is not distinct from ${projectId} and (d.secret_id is not null) = ${deleted}
  `)
  return { items: [...items], total }
}

const VersionRow = z.object({
  version: z.int(), scope: z.enum(scopes), writtenBy: z.uuid().nullable(), writtenAt: z.iso.datetime(), envelope: z.instanceof(Buffer).nullable()
})

/** Lists the stored versions, newest first. */
export async function listVersions (queries: Queries, { id, version: current }: Row): Promise<SecretVersion[]> {
  const rows = await queries.any(sql.type(VersionRow.omit({ envelope: true }))`
    select version, scope, written_by as "writtenBy", written_at as "writtenAt" from secrets.version where secret_id = ${id} order by version desc
  `)
  return rows.map(row => ({ ...row, isCurrent: row.version === current }))
}

/** Resolves with the secret as it was at that version. Rejects with `NotFound` when the version is not stored. */
export async function findVersion (queries: Queries, row: Row, version: number): Promise<Row> {
  if (version === row.version) return row
  const found = await queries.maybeOne(sql.type(VersionRow)`
    select version, scope, written_by as "writtenBy", written_at as "writtenAt", encrypted_value as envelope
    from secrets.version where secret_id = ${row.id} and version = ${version}
  `)
  if (found === null || found.envelope === null) throw new NotFound(`Version ${version} of the secret "${row.name}" is not kept.`)
  return { ...row, ...found, envelope: found.envelope }
}

/** The number of versions stored for each secret, the current one included. */
const versionsKept = 10

/** Inserts a secret. Resolves with false when another transaction has inserted one of the same name. */
export async function insertRow (tx: Transaction, { id, projectId, name, scope, envelope, writtenBy }: Pick<Row, 'id' | 'projectId' | 'name' | 'scope' | 'envelope' | 'writtenBy'>): Promise<boolean> {
  const made = await tx.maybeOne(sql.type(z.object({ id: z.uuid() }))`
    insert into public.secrets (id, project_id, name, encrypted_value, scope, version, created_by)
    values (${id}, ${projectId}, ${name}, ${sql.binary(envelope)}, ${scope}, 1, ${writtenBy})
    on conflict do nothing returning id
  `)
  if (made === null) return false
  await insertVersion(tx, { id, version: 1, scope, writtenBy })
  return true
}

/** Writes a new version of the secret. The caller must hold the lock. A deleted secret is undeleted. */
export async function replaceRow (
  tx: Transaction, before: Row, { version, scope, envelope, writtenBy }: Pick<Row, 'version' | 'scope' | 'envelope' | 'writtenBy'>
): Promise<void> {
  const { id } = before
  await tx.query(sql.type(z.object({}))`
    update secrets.version set encrypted_value = ${sql.binary(before.envelope)} where secret_id = ${id} and version = ${before.version}
  `)
  await tx.query(sql.type(z.object({}))`
    update public.secrets set encrypted_value = ${sql.binary(envelope)}, scope = ${scope}, version = ${version} where id = ${id}
  `)
  await insertVersion(tx, { id, version, scope, writtenBy })
  await tx.query(sql.type(z.object({}))`delete from secrets.version where secret_id = ${id} and version <= ${version - versionsKept}`)
  await undeleteRow(tx, before)
}

const insertVersion = (tx: Transaction, { id, version, scope, writtenBy }: Pick<Row, 'id' | 'version' | 'scope' | 'writtenBy'>): Promise<unknown> =>
  tx.query(sql.type(z.object({}))`
    insert into secrets.version (secret_id, version, scope, written_by, encrypted_value) values (${id}, ${version}, ${scope}, ${writtenBy}, null)
  `)

export const deleteRow = (tx: Transaction, { id }: Row, by: string): Promise<unknown> =>
  tx.query(sql.type(z.object({}))`insert into secrets.deletion (secret_id, deleted_by) values (${id}, ${by})`)

export const undeleteRow = (tx: Transaction, { id }: Row): Promise<unknown> =>
  tx.query(sql.type(z.object({}))`delete from secrets.deletion where secret_id = ${id}`)

/**
 * Deletes permanently, with all versions, the secrets that were marked as deleted more than this number of days ago.
 * Resolves with their number.
 */
export async function purgeRows (tx: Transaction, days: number): Promise<number> {
  const ids = await tx.anyFirst(sql.type(z.object({ id: z.uuid() }))`
    select s.id from public.secrets s join secrets.deletion d on d.secret_id = s.id
    where d.deleted_at < now() - make_interval(days => ${days}) for update of s skip locked
  `)
  // A secret that was undeleted just before it was locked is not removed.
  const { rowCount } = await tx.query(sql.type(z.object({}))`
    delete from public.secrets s where s.id = any(${sql.array([...ids], 'uuid')}) and exists (select from secrets.deletion d where d.secret_id = s.id)
  `)
  return rowCount
}
