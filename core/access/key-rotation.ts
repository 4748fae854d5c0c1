// Changing the master key while the platform serves. Three facts are in the database, for all replicas: the keys that something may be sealed under,
// which replica seals under which, and what is left of what plugins keep. A key leaves the list once no replica seals under it and everything that is
// kept was looked at after that and none found; not before that does a host start without it.

import { Conflict, NotFound, sql, z } from '../contract/index.ts'
import type { Clock, Log, Postgres } from '../contract/index.ts'
import type { EncryptionRoom, Kept } from './encryption.ts'
import { isNewestMasterKey, listMasterKey, markOf } from './master-key.ts'

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

export interface KeyRotation {
  status (): Promise<KeyStatus>
  /**
   * Seals anew what is not under the newest key, if that is this replica's, and takes keys off the list that nothing is left under. Stops at the
   * signal.
   */
  rewrap (signal: AbortSignal): Promise<void>
  /** What a plugin kept is no more, or not needed: `Conflict` while it runs, `NotFound` when it keeps nothing. */
  forget (plugin: string): Promise<void>
  /** Says that this replica seals, and goes on saying so, until the result is called, which says that it does not any more. */
  follow (): Promise<() => Promise<void>>
  /** Looks at once whether there is something to re-seal. */
  wake (): void
}

interface Parts {
  readonly postgres: Postgres
  readonly encryption: EncryptionRoom
  /** The one that seals. */
  readonly key: Buffer
  /** A name for this replica. */
  readonly replica: string
  readonly clock: Clock
  readonly log: Log
  /** Has one replica of all call `rewrap`. */
  readonly requestRewrap: () => Promise<unknown>
}

const beatMs = 30_000
/** Whoever has not said so for this long does not seal any more, or is frozen; it says so anew when it is back. */
const silentSeconds = 150
const batch = 100
const longestPauseMs = 1_800_000
/** No key has this id: what is not under it is everything. */
const noKey = '0'.repeat(16)

export function createKeyRotation ({ postgres, encryption, key, replica, clock, log, requestRewrap }: Parts): KeyRotation {
  const { keyId } = encryption

  const listedKeys = () => postgres.any(sql.type(z.object({ keyId: z.string(), replicas: z.int() }))`
    select k.key_id as "keyId", count(u.replica) as replicas
    from bulkhead.master_key k
    left join bulkhead.master_key_use u on u.key_id = k.key_id and u.seen_at > now() - make_interval(secs => ${silentSeconds})
    group by k.key_id, k.since order by k.since
  `)

  const count = async ({ plugin, name, sealed }: Kept, keyIds: readonly string[]): Promise<SealedStatus> => {
    const all = await sealed.pending(noKey)
    const counted = await Promise.all(keyIds.map(async id => [id, all - await sealed.pending(id)] as const))
    const other = all - counted.reduce((sum, [, known]) => sum + known, 0)
    return { plugin, name, counts: { ...Object.fromEntries(counted), ...other > 0 && { other } } }
  }

  const status = async (): Promise<KeyStatus> => {
    const keys = await listedKeys()
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
      if (written > 0 || left > 0) log.info({ plugin, name, written, left }, `of ${plugin}/${name} ${written} were sealed anew, ${left} are left`)
      return left
    } catch (err) {
      log.error({ err, plugin, name }, `what ${plugin} keeps sealed as "${name}" could not be sealed anew; it is tried again`)
      return undefined
    }
  }

  const rewrap = async (signal: AbortSignal): Promise<void> => {
    if (!await isNewestMasterKey(postgres, key)) {
      log.info({ keyId }, 'another replica has a newer master key, and seals anew')
      return
    }
    const begunAt = await postgres.oneFirst(sql.type(z.object({ at: z.string() }))`select clock_timestamp()::text as at`)
    const inUse = (await listedKeys()).filter(({ replicas }) => replicas > 0).map(({ keyId }) => keyId)
    for (const kept of encryption.kept()) {
      const left = await rewrapOne(kept, signal)
      if (signal.aborted) return
      if (left === undefined) continue
      await postgres.query(sql.type(z.object({}))`
        insert into bulkhead.sealed (plugin, name, key_id, left_over, counted_at) values (${kept.plugin}, ${kept.name}, ${keyId}, ${left}, clock_timestamp())
        on conflict (plugin, name) do update set key_id = excluded.key_id, left_over = excluded.left_over, counted_at = excluded.counted_at
      `)
    }
    // Of a key that was in use when the counting began, or is now, there may be more by now.
    const gone = await postgres.anyFirst(sql.type(z.object({ keyId: z.string() }))`
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
    for (const old of gone) log.info({ keyId: old }, `nothing is left under the master key ${old}: PLATFORM_MASTER_KEY_PREVIOUS can be removed`)
  }

  /** Whether there are other keys than the own, which is the newest. */
  const beat = async (): Promise<boolean> => {
    await postgres.query(sql.type(z.object({}))`
      insert into bulkhead.master_key_use (replica, key_id) values (${replica}, ${keyId}) on conflict (replica) do update set seen_at = now()
    `)
    // Taken off the list while this replica was frozen, it is back on it.
    await listMasterKey(postgres, keyId)
    const kept = encryption.kept()
    await postgres.query(sql.type(z.object({}))`
      insert into bulkhead.sealed (plugin, name)
      select * from unnest(${sql.array(kept.map(({ plugin }) => plugin), 'text')}::text[], ${sql.array(kept.map(({ name }) => name), 'text')}::text[])
      on conflict do nothing
    `)
    await postgres.query(sql.type(z.object({}))`delete from bulkhead.master_key_use where seen_at < now() - interval '1 day'`)
    return (await listedKeys()).length > 1 && await isNewestMasterKey(postgres, key)
  }

  let waking = new AbortController()
  const wake = (): void => waking.abort()

  return {
    status,
    rewrap,
    wake,
    async forget (plugin) {
      if (encryption.kept().some(kept => kept.plugin === plugin)) throw new Conflict(`The plugin "${plugin}" runs, and says itself what it keeps.`)
      const { rowCount } = await postgres.query(sql.type(z.object({}))`delete from bulkhead.sealed where plugin = ${plugin}`)
      if (rowCount === 0) throw new NotFound(`Nothing is known that a plugin "${plugin}" keeps sealed.`)
    },
    async follow () {
      let isOver = false
      let pauseMs = beatMs
      let nextRequestAt = 0
      const request = async (): Promise<void> => {
        if (clock.now() < nextRequestAt) return
        await requestRewrap()
        nextRequestAt = clock.now() + pauseMs
        pauseMs = Math.min(pauseMs * 2, longestPauseMs)
      }
      await beat()
      const leave = encryption.onKept(wake)
      const wait = async (): Promise<boolean> => {
        await clock.sleep(beatMs, waking.signal).catch(() => { /* Something is to be told, or it is over. */ })
        waking = new AbortController()
        return !isOver
      }
      const goOn = async (): Promise<void> => {
        while (await wait()) {
          try {
            if (await beat()) await request()
          } catch (err) {
            // The database may be away, or the tasks are not there yet.
            log.debug({ err }, 'the use of the master key could not be told; it is tried again')
          }
        }
      }
      const following = goOn()
      return async () => {
        isOver = true
        leave()
        wake()
        await following
        // Without a database it is taken to seal until it has been silent for long enough.
        await postgres.query(sql.type(z.object({}))`delete from bulkhead.master_key_use where replica = ${replica}`)
          .catch((err: unknown) => log.debug({ err }, 'that nothing is sealed here any more could not be told'))
      }
    }
  }
}
