// Stores by which channel and how often each person wants each kind of notification.

import { sql, z, type Postgres } from 'bulkhead'
import { channels, Kind, modes, type Channel, type Mode } from './form.ts'

const Row = z.object({ kind: z.string(), channel: z.enum(channels), mode: z.enum(modes) })

/** The mode of one channel for one kind. `*` stands for every kind that has no preference of its own. */
export const Preference = Row.extend({ kind: z.literal('*').or(Kind) }).refine(
  ({ channel, mode }) => channel === 'email' || mode === 'now' || mode === 'off',
  { path: ['mode'], error: 'It must be now or off; only e-mail comes hourly or daily.' })
export type Preference = z.output<typeof Preference>

export interface Preferences {
  list (userId: string): Promise<Preference[]>
  /** Replaces all preferences of a person with these. */
  replace (userId: string, preferences: readonly Preference[]): Promise<Preference[]>
  /** Resolves with the mode of each channel: the preference of the kind, else that of `*`, else `now`. */
  modesOf (userId: string, kind: string): Promise<Readonly<Record<Channel, Mode>>>
}

export function createPreferences (postgres: Postgres): Preferences {
  const list: Preferences['list'] = async userId => [...await postgres.any(sql.type(Row)`
    select kind, channel, mode from notify.preference where user_id = ${userId} order by kind, channel
  `)]

  return {
    list,
    async replace (userId, preferences) {
      await postgres.transaction(async tx => {
        await tx.query(sql.type(z.object({}))`delete from notify.preference where user_id = ${userId}`)
        for (const { kind, channel, mode } of preferences) {
          await tx.query(sql.type(z.object({}))`
            insert into notify.preference (user_id, kind, channel, mode) values (${userId}, ${kind}, ${channel}, ${mode})
            on conflict (user_id, kind, channel) do update set mode = excluded.mode
          `)
        }
      })
      return list(userId)
    },
    async modesOf (userId, kind) {
      const rows = await postgres.any(sql.type(Row)`
        select kind, channel, mode from notify.preference where user_id = ${userId} and kind in (${kind}, '*')
      `)
      const modeOf = (channel: Channel): Mode => {
        const own = rows.filter(row => row.channel === channel)
        return (own.find(row => row.kind === kind) ?? own[0])?.mode ?? 'now'
      }
      return { in_app: modeOf('in_app'), email: modeOf('email'), webhook: modeOf('webhook') }
    }
  }
}
