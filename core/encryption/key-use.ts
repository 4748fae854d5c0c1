// Records which replica seals under which master key. Every replica writes its record before its first seal and
// repeats it every 30 seconds until its last.

import { backOff } from '../concurrency/back-off.ts'
import { createLoop } from '../concurrency/loop.ts'
import { sql, z } from '../contract/index.ts'
import type { Clock, Log, Postgres } from '../contract/index.ts'
import type { EncryptionModule } from './encryption-module.ts'
import { isNewestMasterKey, listMasterKey } from './master-key.ts'

export interface KeyUse {
  /** Records that this replica seals, and repeats this until the returned function is called, which deletes the record. */
  follow (): Promise<() => Promise<void>>
  /** Checks at once whether data must be re-sealed, without waiting for the next heartbeat. */
  wake (): void
}

export interface KeyUseParts {
  readonly postgres: Postgres
  readonly encryption: EncryptionModule
  /** The key that seals. */
  readonly key: Buffer
  /** A name for this replica. */
  readonly replica: string
  readonly clock: Clock
  readonly log: Log
  /** Asks one replica of all to re-seal everything that is not under the newest key. */
  readonly requestRewrap: () => Promise<unknown>
}

const beatMs = 30_000
/**
 * Seconds without a heartbeat after which a replica no longer counts as sealing: it has ended or is frozen.
 * A frozen replica writes its heartbeat again when it is back.
 */
export const silentSeconds = 150
/** The pause between re-wrap requests; it doubles while anything is still under an old key. */
const requestPause = { firstMs: beatMs, maxMs: 1_800_000 }

/** Lists all keys that data may be sealed under, oldest first, with the number of replicas that seal under each. */
export const findMasterKeys = (postgres: Postgres): Promise<readonly { keyId: string, replicas: number }[]> =>
  postgres.any(sql.type(z.object({ keyId: z.string(), replicas: z.int() }))`
    select k.key_id as "keyId", count(u.replica) as replicas
    from bulkhead.master_key k
    left join bulkhead.master_key_use u on u.key_id = k.key_id and u.seen_at > now() - make_interval(secs => ${silentSeconds})
    group by k.key_id, k.since order by k.since
  `)

export function createKeyUse ({ postgres, encryption, key, replica, clock, log, requestRewrap }: KeyUseParts): KeyUse {
  const { keyId } = encryption

  /** Writes the heartbeat. Returns whether this replica has the newest key and other keys are still listed. */
  const beat = async (): Promise<boolean> => {
    await postgres.query(sql.type(z.object({}))`
      insert into bulkhead.master_key_use (replica, key_id) values (${replica}, ${keyId}) on conflict (replica) do update set seen_at = now()
    `)
    // If the key was taken off the list while this replica was frozen, this puts it back.
    await listMasterKey(postgres, keyId)
    const kept = encryption.kept()
    await postgres.query(sql.type(z.object({}))`
      insert into bulkhead.sealed (plugin, name, key_id, left_over, counted_at)
      select plugin, name, null, null, null
      from unnest(${sql.array(kept.map(({ plugin }) => plugin), 'text')}::text[], ${sql.array(kept.map(({ name }) => name), 'text')}::text[]) as kept (plugin, name)
      on conflict do nothing
    `)
    await postgres.query(sql.type(z.object({}))`delete from bulkhead.master_key_use where seen_at < now() - interval '1 day'`)
    return (await findMasterKeys(postgres)).length > 1 && await isNewestMasterKey(postgres, key)
  }

  let requests = 0
  let nextRequestAt = 0
  const request = async (): Promise<void> => {
    if (clock.now() < nextRequestAt) return
    await requestRewrap()
    nextRequestAt = clock.now() + backOff(++requests, requestPause)
  }
  const step = async (): Promise<void> => {
    try {
      if (await beat()) await request()
    } catch (err) {
      // The database may be unavailable, or the tasks have not started yet.
      log.debug({ err }, 'the use of the master key could not be recorded; the host retries')
    }
  }
  const loop = createLoop({ clock, pauseMs: beatMs, step })

  return {
    wake: loop.wake,
    async follow () {
      await beat()
      const leave = encryption.onKept(loop.wake)
      loop.begin()
      return async () => {
        leave()
        await loop.end()
        // If the database is unavailable, this replica counts as sealing until `silentSeconds` have passed.
        await postgres.query(sql.type(z.object({}))`delete from bulkhead.master_key_use where replica = ${replica}`)
          .catch((err: unknown) => log.debug({ err }, 'the end of the use of the master key could not be recorded'))
      }
    }
  }
}
