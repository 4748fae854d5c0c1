// Revokes what a deactivated user had delegated to others, so that it does not count again
// when the user is activated again.

import { sql, z } from '../../contract/index.ts'
import type { Origin, Transaction, User } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'

const Ended = z.object({ id: z.uuid(), delegateId: z.uuid(), permission: z.string(), projectId: z.uuid().nullable() })

export async function endLoansOf (tx: Transaction, actor: User, delegatorId: string, origin: Origin): Promise<void> {
  const ended = await tx.any(sql.type(Ended)`
    update public.delegations d set revoked_at = now()
    from public.permissions p
    where p.id = d.permission_id and d.delegator_id = ${delegatorId} and d.revoked_at is null and (d.expires_at is null or d.expires_at > now())
    returning d.id, d.delegate_id as "delegateId", p.name as permission, d.project_id as "projectId"
  `)
  for (const { id: resourceId, delegateId, permission, projectId } of ended) {
    await recordAudit(tx, {
      actor, action: 'delegation.revoke', resource: 'delegation', resourceId, projectId,
      detail: { delegatorId, delegateId, permission, reason: 'the lender was deactivated' }, origin
    })
  }
}
