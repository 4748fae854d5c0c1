// Writes the audit log, in the transaction of the change it tells of.

import { isIP } from 'node:net'
import { sql, z } from '../contract/index.ts'
import type { Origin, Transaction } from '../contract/index.ts'

/** Stands for whoever is not a user: a name nobody has, or the host itself. */
export const nobodyId = '00000000-0000-0000-0000-000000000000'
const nameLengthMax = 255

export interface AuditEntry {
  readonly actor: { readonly id: string, readonly name: string }
  readonly action: 'auth.login' | 'auth.login_failed' | 'auth.logout' | 'token.create' | 'token.revoke' | 'user.create'
  readonly resource: 'session' | 'token' | 'user'
  readonly resourceId: string | null
  readonly projectId?: string | null
  /** Never a password, a token or a secret. */
  readonly detail?: Readonly<Record<string, string | number | boolean | null | readonly string[]>>
  readonly origin: Pick<Origin, 'address'>
}

export async function recordAudit (tx: Pick<Transaction, 'query'>, entry: AuditEntry): Promise<void> {
  const { actor, action, resource, resourceId, projectId = null, detail, origin } = entry
  await tx.query(sql.type(z.object({}))`
    insert into audit_log (actor_id, actor_name, action, resource, resource_id, project_id, detail, ip_addr)
    values (
      ${actor.id}, ${readableName(actor.name)}, ${action}, ${resource}, ${resourceId}, ${projectId},
      ${detail === undefined ? null : sql.jsonb(detail)}, ${addressOf(origin)}
    )
  `)
}

/** What someone typed as a name, fit to be stored and to be shown in a list. */
const readableName = (name: string): string => name.slice(0, nameLengthMax).replaceAll(/\p{Cc}/gu, '�')

/** Without a zone (`fe80::1%eth0`), which Postgres does not take. Null when it is no address. */
export function addressOf ({ address }: Pick<Origin, 'address'>): string | null {
  const [plain = ''] = (address ?? '').split('%')
  return isIP(plain) === 0 ? null : plain
}
