// Changing the master key while the platform serves. Three facts are in the database, for all replicas: the keys that something may be sealed under,
// which replica seals under which, and what is left of what plugins keep. A key leaves the list once no replica seals under it and everything that is
// kept was looked at after that and none found; not before that does a host start without it.

import { recordAudit } from '../access/audit/audit-log.ts'
import { Conflict, NotFound, sql, z } from '../contract/index.ts'
import type { User } from '../contract/index.ts'
import type { Kept } from './encryption-module.ts'
import { createKeyUse, findMasterKeys, silentSeconds, type KeyUse, type KeyUseParts } from './key-use.ts'
import { isNewestMasterKey, markOf } from './master-key.ts'

export interface KeyStatus {
  /** Of the key that this replica seals under. */
  readonly keyId: string
  /** Of PLATFORM_MASTER_KEY_PREVIOUS. */
  readonly previousKeyId: string | null
  /** Not so while the replicas are being given another: those that have it re-seal. */
  readonly isNewest: boolean
  /** All that something may be sealed under, with how many replicas seal under each. */
  readonly keys: readonly { readonly keyId: string, readonly replicas: number }[]
  readonly sealed: readonly SealedStatus[]
}

export interface SealedStatus {
  readonly plugin: string
  readonly name: string
  /** How many are under each key that is known here, `other` for the rest; null where the plugin does not run. */
  readonly counts: Readonly<Record<string, number>> | null
}

export interface KeyRotation extends KeyUse {
  status (): Promise<KeyStatus>
  /**
   * Seals anew what is not under the newest key, if that is this replica's, and takes keys off the list that nothing is left under. Stops at the
   * signal.
   */
  rewrap (signal: AbortSignal): Promise<void>
  /** What a plugin kept is no more, or not needed: `Conflict` while it runs, `NotFound` when it keeps nothing. */
  forget (plugin: string, by: Pick<User, 'id' | 'name'>): Promise<void>
}

const batch = 100
/** No key has this id: what is not under it is everything. */
const noKey = '0'.repeat(16)

export function createKeyRotation (parts: KeyUseParts): KeyRotation {
  const { postgres, encryption, key, log } = parts
  const { keyId } = encryption

  const count = async ({ plugin, name, sealed }: Kept, keyIds: readonly string[]): Promise<SealedStatus> => {
    const all = await sealed.pending(noKey)
    // What is removed meanwhile is counted here and not there.
    const counted = await Promise.all(keyIds.map(async id => [id, Math.max(0, all - await sealed.pending(id))] as const))
    const other = all - counted.reduce((sum, [, known]) => sum + known, 0)
    return { plugin, name, counts: { ...Object.fromEntries(counted), ...other > 0 && { other } } }
  }

  const status = async (): Promise<KeyStatus> => {
    const keys = await findMasterKeys(postgres)
    const kept = encryption.kept()
    const known = await postgres.any(sql.type(z.object({ plugin: z.string(), name: z.string() }))`select plugin, name from bulkhead.sealed order by plugin, name`)
    const away = known.filter(({ plugin, name }) => !kept.some(one => one.plugin === plugin && one.name === name))
    return {
      keyId, previousKeyId: encryption.previousKeyId ?? null, keys,
      isNewest: await isNewestMasterKey(postgres, key),
      sealed: [
        ...await Promise.all(kept.map(one => count(one, keys.map(({ keyId }) => keyId)))),
        ...away.map(({ plugin, name }) => ({ plugin, name, counts: null }))
      ]
    }
  }

  /** Undefined when it could not be done. */
  const rewrapOne = async ({ plugin, name, sealed }: Kept, signal: AbortSignal): Promise<number | undefined> => {
    try {
      let written = 0
      for (let some = 1; some > 0 && !signal.aborted;) {
        some = await sealed.rewrap(keyId, batch)
        written += some
      }
      const left = await sealed.pending(keyId)
      if (written > 0 || left > 0) log.info({ plugin, what: name, written, left }, `of ${plugin}/${name} ${written} were sealed anew, ${left} are left`)
      return left
    } catch (err) {
      log.error({ err, plugin, what: name }, `what ${plugin} keeps sealed as "${name}" could not be sealed anew; it is tried again`)
      return undefined
    }
  }

  const rewrap = async (signal: AbortSignal): Promise<void> => {
    if (!await isNewestMasterKey(postgres, key)) {
      log.info({ keyId }, 'another replica has a newer master key, and seals anew')
      return
    }
    const begunAt = await postgres.oneFirst(sql.type(z.object({ at: z.string() }))`select clock_timestamp()::text as at`)
    const inUse = (await findMasterKeys(postgres)).filter(({ replicas }) => replicas > 0).map(({ keyId }) => keyId)
    for (const kept of encryption.kept()) {
      const left = await rewrapOne(kept, signal)
      if (signal.aborted) return
      if (left === undefined) continue
      await postgres.query(sql.type(z.object({}))`
        insert into bulkhead.sealed (plugin, name, key_id, left_over, counted_at) values (${kept.plugin}, ${kept.name}, ${keyId}, ${left}, clock_timestamp())
        on conflict (plugin, name) do update set key_id = excluded.key_id, left_over = excluded.left_over, counted_at = excluded.counted_at
      `)
    }
    for (const old of await retire(inUse, begunAt)) log.info({ keyId: old }, `nothing is left under the master key ${old}: PLATFORM_MASTER_KEY_PREVIOUS can be removed`)
  }

  /** Of a key that was in use when the counting began, or is now, there may be more by now. */
  const retire = (inUse: readonly string[], begunAt: string): Promise<readonly string[]> => postgres.transaction(async tx => {
    const gone = await tx.anyFirst(sql.type(z.object({ keyId: z.string() }))`
      delete from bulkhead.master_key k
      where k.key_id <> ${keyId} and k.key_id <> all(${sql.array(inUse, 'text')})
        and exists (select from bulkhead.master_key_check where value = ${markOf(key)})
        and not exists (select from bulkhead.master_key_use u where u.key_id = k.key_id and u.seen_at > now() - make_interval(secs => ${silentSeconds}))
        and not exists (
          select from bulkhead.sealed s
          where s.key_id is distinct from ${keyId} or s.left_over is distinct from 0 or s.counted_at < ${begunAt}::timestamptz
        )
      returning k.key_id as "keyId"
    `)
    for (const old of gone) await recordAudit(tx, { actor: undefined, action: 'master-key.retire', resource: 'master-key', detail: { key: old, current: keyId } })
    return gone
  })

  return {
    status,
    rewrap,
    ...createKeyUse(parts),
    async forget (plugin, by) {
      if (encryption.kept().some(kept => kept.plugin === plugin)) throw new Conflict(`The plugin "${plugin}" runs, and says itself what it keeps.`)
      await postgres.transaction(async tx => {
        const { rowCount } = await tx.query(sql.type(z.object({}))`delete from bulkhead.sealed where plugin = ${plugin}`)
        if (rowCount === 0) throw new NotFound(`Nothing is known that a plugin "${plugin}" keeps sealed.`)
        await recordAudit(tx, { actor: by, action: 'master-key.forget', resource: 'plugin', detail: { plugin } })
      })
    }
  }
}
