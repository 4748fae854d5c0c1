// Records which master keys data may be sealed under, so that a host that lacks one of them stops at its start, before it does harm.

import { createHmac, timingSafeEqual } from 'node:crypto'
import { recordAudit } from '../access/audit/audit-log.ts'
import { lockAccess } from '../access/common/access-lock.ts'
import { sql, z } from '../contract/index.ts'
import type { Postgres, Transaction } from '../contract/index.ts'
import { keyIdOf } from './envelope.ts'

export interface MasterKeys {
  readonly key: Buffer
  /** A second key, which opens but does not seal: the key before, or the key to come. */
  readonly previous: Buffer | undefined
}

/** The data in the database was written under a master key that this host does not have. */
export class WrongMasterKey extends Error {
  readonly code = 'BULKHEAD_WRONG_MASTER_KEY'

  constructor () {
    super('The master key is not the one that the data in this database was written under. ' +
      'Set PLATFORM_MASTER_KEY to the key that was used before (without the setting, it is kept in the data folder, PLATFORM_DATA_PATH); ' +
      'to change to a new key, set PLATFORM_MASTER_KEY_PREVIOUS to the old one; or point DATABASE_URL at the database that belongs to this key.')
    this.name = 'WrongMasterKey'
  }
}

/** Data may still be sealed under a key that this host does not have. */
export class MasterKeyStillNeeded extends Error {
  readonly code = 'BULKHEAD_MASTER_KEY_STILL_NEEDED'
  readonly keyIds: readonly string[]

  /** `left` lists how much of which data is still under these keys. */
  constructor (keyIds: readonly string[], left: readonly string[]) {
    super(`The database still needs the master key ${keyIds.join(' and ')}, which this host does not have: ` +
      `${left.length === 0 ? 'nobody has counted yet what is sealed under it' : `left under it are ${left.join(', ')}`}. ` +
      'Set PLATFORM_MASTER_KEY_PREVIOUS to that key until "npm run keys" says that it can be removed. Nothing was changed.')
    this.name = 'MasterKeyStillNeeded'
    this.keyIds = keyIds
  }
}

/**
 * Checks at the start that this host has every master key that it needs.
 * The first start stores a mark of its key. Later starts compare their key with the mark. When the mark is that of `previous`,
 * this is a rotation, and the mark of the new key replaces it.
 * A list holds every key that data may be sealed under, from before the first seal until a rotation has found nothing under the key.
 * The host must have all listed keys.
 */
export async function verifyMasterKey (postgres: Postgres, { key, previous }: MasterKeys): Promise<void> {
  await postgres.transaction(async tx => {
    await lockAccess(tx)
    const found = await findMark(tx)
    const isOwn = found !== null && isSame(found, markOf(key))
    if (found !== null && !isOwn && (previous === undefined || !isSame(found, markOf(previous)))) throw new WrongMasterKey()
    const here = [key, ...previous === undefined ? [] : [previous]].map(keyIdOf)
    const missing = await tx.anyFirst(sql.type(z.object({ keyId: z.string() }))`
      select key_id as "keyId" from bulkhead.master_key where key_id <> all(${sql.array(here, 'text')}) order by since
    `)
    if (missing.length > 0) throw new MasterKeyStillNeeded(missing, await describeLeft(tx, keyIdOf(key)))
    if (!isOwn) {
      await tx.query(sql.type(z.object({}))`
        insert into bulkhead.master_key_check (value) values (${markOf(key)}) on conflict (one_row) do update set value = excluded.value
      `)
    }
    if (found !== null && !isOwn) {
      await recordAudit(tx, { actor: undefined, action: 'master-key.change', resource: 'master-key', detail: { to: here[0], from: here[1] } })
    }
    await listMasterKey(tx, keyIdOf(key))
  })
}

/** Adds a key to the list. The caller does this before anything is sealed under the key. */
export const listMasterKey = (queries: Pick<Postgres, 'query'>, keyId: string): Promise<unknown> =>
  queries.query(sql.type(z.object({}))`insert into bulkhead.master_key (key_id) values (${keyId}) on conflict do nothing`)

/** Returns whether this is the key of the host that started last. */
export async function isNewestMasterKey (postgres: Postgres, key: Buffer): Promise<boolean> {
  const found = await findMark(postgres)
  return found !== null && isSame(found, markOf(key))
}

export const markOf = (key: Buffer): string => createHmac('sha256', key).update('bulkhead master key check').digest('hex')

const isSame = (found: string, mark: string): boolean => found.length === mark.length && timingSafeEqual(Buffer.from(found), Buffer.from(mark))

const findMark = (queries: Pick<Postgres, 'maybeOneFirst'>): Promise<string | null> =>
  queries.maybeOneFirst(sql.type(z.object({ value: z.string() }))`select value from bulkhead.master_key_check`)

const Left = z.object({ what: z.string(), left: z.int().nullable() })

/** Describes what the last count found. Data that was not counted since the key changed may be any amount. */
async function describeLeft (tx: Transaction, keyId: string): Promise<string[]> {
  const rows = await tx.any(sql.type(Left)`
    select plugin || '/' || name as what, case when key_id = ${keyId} then left_over end as left from bulkhead.sealed
    where key_id is distinct from ${keyId} or left_over > 0 order by 1
  `)
  return rows.map(({ what, left }) => left === null ? `all of ${what} that there were` : `${left} of ${what}`)
}
