// Remembers which master key the data was written under, so that a host with another one stops before it does harm.

import { createHmac, timingSafeEqual } from 'node:crypto'
import { sql, z } from '../contract/index.ts'
import type { Postgres } from '../contract/index.ts'

export interface MasterKeys {
  readonly key: Buffer
  /** The one before, while a rotation is under way. */
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

/** The first start leaves the mark of its key; later ones compare with it, and a rotation (the mark is that of `previous`) replaces it. */
export async function verifyMasterKey (postgres: Postgres, { key, previous }: MasterKeys): Promise<void> {
  const mark = markOf(key)
  const found = await findMark(postgres) ?? await leaveMark(postgres, mark)
  if (isSame(found, mark)) return
  if (previous === undefined || !isSame(found, markOf(previous))) throw new WrongMasterKey()
  await postgres.query(sql.type(z.object({}))`update bulkhead.master_key_check set value = ${mark} where value = ${found}`)
}

const markOf = (key: Buffer): string => createHmac('sha256', key).update('bulkhead master key check').digest('hex')

const isSame = (found: string, mark: string): boolean => found.length === mark.length && timingSafeEqual(Buffer.from(found), Buffer.from(mark))

const findMark = (postgres: Postgres): Promise<string | null> =>
  postgres.maybeOneFirst(sql.type(z.object({ value: z.string() }))`select value from bulkhead.master_key_check`)

/** Of two hosts that start at once with different keys, one finds the other's mark. */
async function leaveMark (postgres: Postgres, mark: string): Promise<string> {
  await postgres.query(sql.type(z.object({}))`insert into bulkhead.master_key_check (value) values (${mark}) on conflict do nothing`)
  return await findMark(postgres) ?? mark
}
