// Which master keys are in use, and where: every replica says so again and again, before its first seal and until its last.

import { sql, z } from '../contract/index.ts'
import type { Clock, Log, Postgres } from '../contract/index.ts'
import type { EncryptionModule } from './encryption-module.ts'
import { isNewestMasterKey, listMasterKey } from './master-key.ts'

export interface KeyUse {
  /** Says that this replica seals, and goes on saying so, until the result is called, which says that it does not any more. */
  follow (): Promise<() => Promise<void>>
  /** Looks at once whether there is something to be sealed anew. */
  wake (): void
}

export interface KeyUseParts {
  readonly postgres: Postgres
  readonly encryption: EncryptionModule
  /** The one that seals. */
  readonly key: Buffer
  /** A name for this replica. */
  readonly replica: string
  readonly clock: Clock
  readonly log: Log
  /** Has one replica of all seal anew what is not under the newest key. */
  readonly requestRewrap: () => Promise<unknown>
}

const beatMs = 30_000
/** Whoever has not said so for this long does not seal any more, or is frozen; it says so anew when it is back. */
export const silentSeconds = 150
/** How long it is until it is asked for again what has not come to an end, twice as long each time. */
const longestPauseMs = 1_800_000

/** All that something may be sealed under, the oldest first, with how many replicas seal under each. */
export const findMasterKeys = (postgres: Postgres): Promise<readonly { keyId: string, replicas: number }[]> =>
  postgres.any(sql.type(z.object({ keyId: z.string(), replicas: z.int() }))`
    select k.key_id as "keyId", count(u.replica) as replicas
    from bulkhead.master_key k
    left join bulkhead.master_key_use u on u.key_id = k.key_id and u.seen_at > now() - make_interval(secs => ${silentSeconds})
    group by k.key_id, k.since order by k.since
  `)

export function createKeyUse ({ postgres, encryption, key, replica, clock, log, requestRewrap }: KeyUseParts): KeyUse {
  const { keyId } = encryption

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
    return (await findMasterKeys(postgres)).length > 1 && await isNewestMasterKey(postgres, key)
  }

  let waking = new AbortController()
  const wake = (): void => waking.abort()

  return {
    wake,
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
