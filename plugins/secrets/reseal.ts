// Re-encrypts secrets after a change of the master key: a limited number at a time, and without blocking other work.

import { SealBroken, sql, z, type Encryption, type Log, type Postgres, type Sealed } from 'bulkhead'
import { scopes } from './form.ts'
import { sealAnew } from './sealed-value.ts'

const Count = z.object({ count: z.int() })
const Row = z.object({
  id: z.uuid(), projectId: z.uuid().nullable(), name: z.string(), scope: z.enum(scopes), version: z.int(), envelope: z.instanceof(Buffer)
})
type Row = z.output<typeof Row>

interface Parts { readonly postgres: Postgres, readonly encryption: Encryption, readonly log: Log }

/**
 * Declares the encrypted data of this plugin. Current values come first: a value that is replaced meanwhile moves, with
 * its old envelope, to the stored versions.
 */
export function keepSecrets (parts: Parts): void {
  parts.encryption.keeps('current', current(parts))
  parts.encryption.keeps('versions', versions(parts))
}

const current = (parts: Parts): Sealed => ({
  pending: keyId => parts.postgres.oneFirst(sql.type(Count)`
    select count(*) as count from public.secrets where substring(encrypted_value from 2 for 8) <> decode(${keyId}, 'hex')
  `),
  rewrap: (keyId, limit) => reseal(parts, {
    limit,
    read: after => parts.postgres.any(sql.type(Row)`
      select id, project_id as "projectId", name, scope, version, encrypted_value as envelope from public.secrets
      where substring(encrypted_value from 2 for 8) <> decode(${keyId}, 'hex') and (id, version) > (${after.id}, ${after.version}::int)
      order by id, version limit ${limit}
    `),
    write: async ({ id, version, envelope }, anew) => (await parts.postgres.query(sql.type(z.object({}))`
      update public.secrets set encrypted_value = ${sql.binary(anew)} where id = ${id} and version = ${version} and encrypted_value = ${sql.binary(envelope)}
    `)).rowCount
  })
})

const versions = (parts: Parts): Sealed => ({
  pending: keyId => parts.postgres.oneFirst(sql.type(Count)`
    select count(*) as count from secrets.version where substring(encrypted_value from 2 for 8) <> decode(${keyId}, 'hex')
  `),
  rewrap: (keyId, limit) => reseal(parts, {
    limit,
    read: after => parts.postgres.any(sql.type(Row)`
      select s.id, s.project_id as "projectId", s.name, v.scope, v.version, coalesce(v.encrypted_value, '') as envelope
      from secrets.version v join public.secrets s on s.id = v.secret_id
      where substring(v.encrypted_value from 2 for 8) <> decode(${keyId}, 'hex') and (v.secret_id, v.version) > (${after.id}, ${after.version}::int)
      order by v.secret_id, v.version limit ${limit}
    `),
    write: async ({ id, version, envelope }, anew) => (await parts.postgres.query(sql.type(z.object({}))`
      update secrets.version set encrypted_value = ${sql.binary(anew)}
      where secret_id = ${id} and version = ${version} and encrypted_value = ${sql.binary(envelope)}
    `)).rowCount
  })
})

interface Table {
  readonly limit: number
  /** Reads the next rows after this one, in order. */
  read (after: Pick<Row, 'id' | 'version'>): Promise<readonly Row[]>
  /**
   * Writes the new envelope if the row still has the envelope that was read. Resolves with the number of rows written.
   */
  write (row: Row, anew: Buffer): Promise<number>
}

/**
 * Re-encrypts up to `limit` rows. It continues after rows that cannot be opened, so that these do not block the others.
 */
async function reseal ({ encryption, log }: Parts, { limit, read, write }: Table): Promise<number> {
  let after: Pick<Row, 'id' | 'version'> = { id: '00000000-0000-0000-0000-000000000000', version: 0 }
  let written = 0
  for (;;) {
    const rows = await read(after)
    for (const row of rows) {
      const anew = tryToSeal(encryption, row, log)
      if (anew !== undefined) written += await write(row, anew)
      after = row
    }
    if (written > 0 || rows.length < limit) return written
  }
}

function tryToSeal (encryption: Encryption, row: Row, log: Log): Buffer | undefined {
  try {
    return sealAnew(encryption, row.envelope, row)
  } catch (err) {
    if (!(err instanceof SealBroken)) throw err
    log.error({ err, secret: row.id }, `${err.message} Give it a new value, or delete it for good: until then the key it is under cannot be taken away.`)
    return undefined
  }
}
