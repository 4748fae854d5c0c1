// Writes entries to the audit log, each in the transaction of the change that it records.

import { AsyncLocalStorage } from 'node:async_hooks'
import { sql, z } from '../../contract/index.ts'
import type { AuditEntry, Transaction } from '../../contract/index.ts'
import { addressOf } from '../common/network.ts'
import { maskTokens } from '../credential/token.ts'

/** The actor id of an entry whose actor is not a user: a name that no user has, or the host itself. */
export const nobodyId = '00000000-0000-0000-0000-000000000000'
const nameLengthMax = 255
const detailLengthMax = 16_384

const actionForm = /^[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*)+$/
const resourceForm = /^[a-z][a-z0-9_-]*$/

/** The plugin whose call wrote an entry. */
export interface AuditSource {
  readonly plugin: string
  /** True when no request of the actor led to the entry: only the plugin claims that the actor did it. */
  readonly isByPlugin: boolean
}

const writing = new AsyncLocalStorage<AuditSource>()

/** Runs `work`; the entries that it writes to the audit log name this source. */
export const writeAs = <T>(source: AuditSource, work: () => T): T => writing.run(source, work)

export async function recordAudit (tx: Pick<Transaction, 'query'>, entry: AuditEntry, source = writing.getStore()): Promise<void> {
  const { actor = { id: nobodyId, name: 'host' }, action, resource, resourceId = null, projectId = null, detail, origin } = entry
  if (!actionForm.test(action)) throw new TypeError(`"${action}" is not an action of the audit log: write it as thing.verb, in lower case`)
  if (!resourceForm.test(resource)) throw new TypeError(`"${resource}" is not a resource of the audit log: name the kind of thing, in lower case`)
  await tx.query(sql.type(z.object({}))`
    with entry as (
      insert into public.audit_log (actor_id, actor_name, action, resource, resource_id, project_id, detail, ip_addr)
      values (
        ${actor.id}, ${readableName(actor.name)}, ${action}, ${resource}, ${resourceId}, ${projectId},
        ${detail === undefined ? null : maskedJson(action, detail)}::jsonb, ${addressOf(origin)}
      )
      returning id
    )
    insert into bulkhead.audit_source (audit_id, plugin, is_by_plugin)
    select id, ${source?.plugin ?? null}::text, ${source?.isByPlugin === true}::boolean from entry where ${source?.plugin ?? null}::text is not null
  `)
}

/** Makes text that a client sent as a name safe to store and to show in a list. */
export const readableName = (name: string): string => maskTokens(name).slice(0, nameLengthMax).replaceAll(/\p{Cc}|\p{Cs}/gu, '�')

function maskedJson (action: string, detail: object): string {
  const text = JSON.stringify(detail)
  if (text.length > detailLengthMax) {
    throw new TypeError(`the detail of "${action}" in the audit log is ${text.length} characters long; keep it to ${detailLengthMax}`)
  }
  return maskTokens(text)
}
