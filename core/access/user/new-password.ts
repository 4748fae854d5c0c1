// Ends the sessions of a user who gets a new password and, only when asked for, revokes the user's API tokens.
// Without that request, the API tokens keep working.

import { sql, z } from '../../contract/index.ts'
import type { Origin, Transaction, User } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'

type Actor = Pick<User, 'id' | 'name'>

/** Ends all sessions of the user except the session `kept`. */
export async function endSessionsOf (tx: Transaction, actor: Actor, userId: string, kept: string | null, origin: Origin): Promise<void> {
  const ended = await tx.anyFirst(sql.type(z.object({ id: z.uuid() }))`
    delete from public.auth_sessions where user_id = ${userId} and id is distinct from ${kept}::uuid returning id
  `)
  for (const resourceId of ended) {
    await recordAudit(tx, { actor, action: 'session.end', resource: 'session', resourceId, detail: { reason: 'new password' }, origin })
  }
}

/** Revokes all API tokens of the user and returns their hashes. */
export async function revokeTokensOf (tx: Transaction, actor: Actor, userId: string, origin: Origin): Promise<readonly string[]> {
  const revoked = await tx.any(sql.type(z.object({ id: z.uuid(), name: z.string(), projectId: z.uuid().nullable(), tokenHash: z.string() }))`
    delete from public.api_tokens where user_id = ${userId} returning id, name, project_id as "projectId", token_hash as "tokenHash"
  `)
  for (const { id: resourceId, name, projectId } of revoked) {
    await recordAudit(tx, { actor, action: 'token.revoke', resource: 'token', resourceId, projectId, detail: { name }, origin })
  }
  return revoked.map(({ tokenHash }) => tokenHash)
}
