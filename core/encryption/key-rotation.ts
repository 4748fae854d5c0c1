// Changes the master key while the platform serves requests. The database holds three facts for all replicas:
// the keys that data may be sealed under, the key that each replica seals under, and how much data of each plugin is left to re-seal.
// A key leaves the list when no replica seals under it and a later count of all declared data found nothing under it.
// Until then, a host without this key does not start.

import { recordAudit } from '../access/audit/audit-log.ts'
import { Conflict, NotFound, sql, z } from '../contract/index.ts'
import type { User } from '../contract/index.ts'
import type { Kept } from './encryption-module.ts'
import { createKeyUse, findMasterKeys, silentSeconds, type KeyUse, type KeyUseParts } from './key-use.ts'
import { isNewestMasterKey, markOf } from './master-key.ts'

export interface KeyStatus {
  /** The id of the key that this replica seals under. */
  readonly keyId: string
  /** The id of the key in PLATFORM_MASTER_KEY_PREVIOUS; null when it is not set. */
  readonly previousKeyId: string | null
  /**
   * False on a replica with an older key, while the replicas are being given a newer one.
   * The replicas that have the newest key re-seal.
   */
  readonly isNewest: boolean
  /** All keys that data may be sealed under, with the number of replicas that seal under each. */
  readonly keys: readonly { readonly keyId: string, readonly replicas: number }[]
  readonly sealed: readonly SealedStatus[]
}

export interface SealedStatus {
  readonly plugin: string
  readonly name: string
  /** The number of envelopes under each listed key, and `other` for the rest; null when the plugin does not run here. */
  readonly counts: Readonly<Record<string, number>> | null
}

export interface KeyRotation extends KeyUse {
  status (): Promise<KeyStatus>
  /**
   * Re-seals everything that is not under this replica's key, if that is the newest key.
   * Then takes the keys off the list that nothing is left under. It stops when the signal aborts.
   */
  rewrap (signal: AbortSignal): Promise<void>
  /**
   * Deletes the records of the sealed data of a plugin, for an operator who knows that the data is gone or not needed.
   * Throws `Conflict` while the plugin runs, and `NotFound` when nothing is recorded for it.
   */
  forget (plugin: string, by: Pick<User, 'id' | 'name'>): Promise<void>
}

const batch = 100
/** No key has this id, so everything counts as not sealed under it. */
const noKey = '0'.repeat(16)

export function createKeyRotation (parts: KeyUseParts): KeyRotation {
  const { postgres, encryption, key, log } = parts
  const { keyId } = encryption

  const count = async ({ plugin, name, sealed }: Kept, keyIds: readonly string[]): Promise<SealedStatus> => {
    const all = await sealed.pending(noKey)
    // Data that is removed between the two counts is in `all` only, so it counts as sealed under `id`.
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

  /** Returns how much is left, or undefined when re-sealing failed. */
  const rewrapOne = async ({ plugin, name, sealed }: Kept, signal: AbortSignal): Promise<number | undefined> => {
    try {
      let written = 0
      for (let some = 1; some > 0 && !signal.aborted;) {
        some = await sealed.rewrap(keyId, batch)
        written += some
      }
      const left = await sealed.pending(keyId)
      if (written > 0 || left > 0) log.info({ plugin, what: name, written, left }, `of ${plugin}/${name} ${written} were sealed again, ${left} are left`)
      return left
    } catch (err) {
      log.error({ err, plugin, what: name }, `what ${plugin} keeps sealed as "${name}" could not be sealed again; the host retries`)
      return undefined
    }
  }

  const rewrap = async (signal: AbortSignal): Promise<void> => {
    if (!await isNewestMasterKey(postgres, key)) {
      log.info({ keyId }, 'another replica has a newer master key, and seals again')
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

  /**
   * Takes the keys off the list that nothing is left under, and returns them. A key that was in use when the count began,
   * or is in use now, stays: more data may have been sealed under it since.
   */
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
      if (encryption.kept().some(kept => kept.plugin === plugin)) throw new Conflict(`The plugin "${plugin}" is running and reports its sealed values itself.`)
      await postgres.transaction(async tx => {
        const { rowCount } = await tx.query(sql.type(z.object({}))`delete from bulkhead.sealed where plugin = ${plugin}`)
        if (rowCount === 0) throw new NotFound(`Nothing is known that a plugin "${plugin}" keeps sealed.`)
        await recordAudit(tx, { actor: by, action: 'master-key.forget', resource: 'plugin', detail: { plugin } })
      })
    }
  }
}
