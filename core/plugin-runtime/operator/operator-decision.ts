// Decisions of operators about plugins: stored in Postgres for every replica and the next start, announced through Valkey.

import { sql, z, type Audit, type Operator, type Postgres, type Transaction, type Valkey } from '../../contract/index.ts'

const OperatorDecision = z.object({
  plugin: z.string(),
  isDisabled: z.boolean(),
  /** The reason that the operator gave for disabling the plugin. */
  reason: z.string().nullable(),
  /** Number of reloads by operators. A replica that has done fewer still has one to do. */
  reloads: z.int(),
  changedBy: z.string(),
  /** Milliseconds since the last change, by the clock of the database. */
  ageMs: z.number()
})
export type OperatorDecision = z.output<typeof OperatorDecision>

export interface OperatorDecisions {
  /** Returns the decisions about every plugin that an operator ever decided about. */
  read (): Promise<readonly OperatorDecision[]>
  find (plugin: string): Promise<OperatorDecision | undefined>
  disable (plugin: string, reason: string | null, by: Operator): Promise<void>
  enable (plugin: string, by: Operator): Promise<void>
  /** Counts a reload and returns the new number of reloads. */
  countReload (plugin: string, by: Operator): Promise<number>
  /**
   * Calls `listener` when another replica has written a decision. Decisions written while the messages are unavailable
   * are not announced.
   */
  onNews (listener: () => void): Promise<() => Promise<void>>
}

const channel = 'plugin-choices'
const News = z.strictObject({ from: z.string() })

interface OperatorDecisionsDeps {
  readonly postgres: Postgres
  readonly valkey: Valkey
  readonly audit: Pick<Audit, 'record'>
  /** Names this replica among those that share the database. */
  readonly replica: string
}

export function createOperatorDecisions ({ postgres, valkey, audit, replica }: OperatorDecisionsDeps): OperatorDecisions {
  // A replica that misses the message finds the decision in the database a little later.
  const tell = (): Promise<void> => valkey.publish(channel, { from: replica }).catch(() => undefined)

  /** Writes the decision and its row in the audit log in one transaction: both exist, or neither. */
  const change = async <T>(
    action: string, plugin: string, { id, name, address }: Operator, detail: object, write: (tx: Transaction) => Promise<T>
  ): Promise<T> => {
    const result = await postgres.transaction(async tx => {
      const written = await write(tx)
      await audit.record(tx, { actor: { id, name }, action, resource: 'plugin', detail: { plugin, ...detail }, origin: { address } })
      return written
    })
    await tell()
    return result
  }

  return {
    read: () => postgres.any(sql.type(OperatorDecision)`
      select plugin, is_disabled as "isDisabled", reason, reloads, changed_by as "changedBy",
        extract(epoch from now() - changed_at)::float8 * 1000 as "ageMs" -- unchecked: never null, which Postgres cannot tell
      from bulkhead.plugin_choice order by plugin
    `),
    find: async plugin => await postgres.maybeOne(sql.type(OperatorDecision)`
      select plugin, is_disabled as "isDisabled", reason, reloads, changed_by as "changedBy",
        extract(epoch from now() - changed_at)::float8 * 1000 as "ageMs" -- unchecked: never null, which Postgres cannot tell
      from bulkhead.plugin_choice where plugin = ${plugin}
    `) ?? undefined,
    disable: (plugin, reason, by) => change('plugin.disable', plugin, by, { reason }, async tx => {
      await tx.query(sql.type(z.object({}))`
        insert into bulkhead.plugin_choice (plugin, is_disabled, reason, changed_by) values (${plugin}, true, ${reason}, ${by.name})
        on conflict (plugin) do update set is_disabled = true, reason = excluded.reason, changed_by = excluded.changed_by, changed_at = now()
      `)
    }),
    enable: (plugin, by) => change('plugin.enable', plugin, by, {}, async tx => {
      await tx.query(sql.type(z.object({}))`
        update bulkhead.plugin_choice set is_disabled = false, reason = null, changed_by = ${by.name}, changed_at = now()
        where plugin = ${plugin} and is_disabled
      `)
    }),
    countReload: (plugin, by) => change('plugin.reload', plugin, by, {}, async tx => {
      const { reloads } = await tx.one(sql.type(z.object({ reloads: z.int() }))`
        insert into bulkhead.plugin_choice as c (plugin, reason, reloads, changed_by) values (${plugin}, null, 1, ${by.name})
        on conflict (plugin) do update set reloads = c.reloads + 1, changed_by = excluded.changed_by, changed_at = now()
        returning reloads
      `)
      return reloads
    }),
    onNews: listener => valkey.subscribe(channel, News, ({ from }) => { if (from !== replica) listener() })
  }
}
