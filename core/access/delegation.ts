// Permissions lent by one user to another: granted, listed, revoked. Whether one counts is decided where permissions are computed.

import { BadRequest, Conflict, Forbidden, NotFound, sql, ValidationFailed, z } from '../contract/index.ts'
import type { Clock, DelegationRecord, Delegations, NewDelegation, Postgres, Transaction, User } from '../contract/index.ts'
import { hasProject } from './assignment.ts'
import { recordAudit } from './audit.ts'
import type { ChangeAccess } from './change.ts'
import type { Decisions } from './decision.ts'
import { counts, holdsByRole } from './held.ts'
import { narrow } from './project-permission.ts'

interface Parts {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly decisions: Decisions
  readonly changeAccess: ChangeAccess
}

const reasonLengthMax = 10_000

const Row = z.object({
  id: z.uuid(),
  delegatorId: z.uuid(),
  delegatorName: z.string(),
  delegateId: z.uuid(),
  delegateName: z.string(),
  permission: z.string(),
  projectId: z.uuid().nullable(),
  expiresAt: z.iso.datetime().nullable(),
  reason: z.string().nullable(),
  createdAt: z.iso.datetime(),
  revokedAt: z.iso.datetime().nullable(),
  isEffective: z.boolean()
}) satisfies z.ZodType<DelegationRecord>

const Held = z.object({ isByRole: z.boolean(), isLent: z.boolean() })

export function createDelegations ({ postgres, clock, decisions, changeAccess }: Parts): Delegations {
  const now = (): string => new Date(clock.now()).toISOString()

  const grant: Delegations['grant'] = async (actor, input, origin) => {
    const { delegateId, permission, projectId = null, expiresAt = null, reason = null } = input
    if (delegateId === actor.id) throw new BadRequest('Nobody delegates to themself.')
    return changeAccess(async tx => {
      const permissionId = await assertSound(tx, input)
      await assertMayLend(tx, actor, { permission, permissionId, projectId })
      const id = await tx.maybeOneFirst(sql.type(z.object({ id: z.uuid() }))`
        insert into public.delegations as d (delegator_id, delegate_id, permission_id, project_id, expires_at, reason)
        values (${actor.id}, ${delegateId}, ${permissionId}, ${projectId}, ${expiresAt}, ${reason})
        on conflict (delegator_id, delegate_id, permission_id, project_id) do update
        set expires_at = excluded.expires_at, reason = excluded.reason, created_at = excluded.created_at, revoked_at = null
        where d.revoked_at is not null or d.expires_at <= ${now()}
        returning id
      `)
      if (id === null) throw new Conflict('You delegate this already. Revoke it first to change it.')
      await recordAudit(tx, {
        actor, action: 'delegation.create', resource: 'delegation', resourceId: id, projectId, detail: { delegateId, permission, expiresAt, reason: reason?.slice(0, 500) ?? null }, origin
      })
      return tx.one(sql.type(Row)`${selection(now())} where d.id = ${id}`)
    })
  }

  /** Gives the permission's id. */
  async function assertSound (tx: Transaction, { delegateId, permission, projectId, expiresAt, reason }: NewDelegation): Promise<string> {
    const permissionId = await tx.maybeOneFirst(sql.type(z.object({ id: z.uuid() }))`select id from public.permissions where name = ${permission}`)
    const delegate = await tx.maybeOneFirst(sql.type(z.object({ id: z.uuid() }))`select id from public.users where id = ${delegateId} and is_active`)
    const problems = [
      ...delegate === null ? [{ path: 'body.delegateId', message: 'There is no such active user.' }] : [],
      ...permissionId === null ? [{ path: 'body.permission', message: `There is no permission "${permission}".` }] : [],
      ...expiresAt !== undefined && !(Date.parse(expiresAt) > clock.now()) ? [{ path: 'body.expiresAt', message: 'It must be in the future.' }] : [],
      ...reason !== undefined && reason.length > reasonLengthMax ? [{ path: 'body.reason', message: `It has ${reasonLengthMax} characters at most.` }] : [],
      ...projectId !== undefined && !await hasProject(tx, projectId) ? [{ path: 'body.projectId', message: 'There is no such project.' }] : []
    ]
    if (problems.length > 0 || permissionId === null) throw new ValidationFailed(problems)
    return permissionId
  }

  /** Asked in the transaction, after every change before it: what was lost a moment ago is not lent. */
  async function assertMayLend (
    tx: Transaction, actor: User, { permission, permissionId, projectId }: { permission: string, permissionId: string, projectId: string | null }
  ): Promise<void> {
    const { isByRole, isLent } = await tx.one(sql.type(Held)`
      select
        ${holdsByRole(sql.fragment`${actor.id}`, sql.fragment`${permissionId}`, sql.fragment`${projectId}::uuid`)} as "isByRole",
        exists (
          select from public.delegations d
          where d.delegate_id = ${actor.id} and d.permission_id = ${permissionId} and (d.project_id is null or d.project_id = ${projectId}::uuid)
            and ${counts(now())}
        ) as "isLent"
    `)
    if (!isByRole && isLent) throw new BadRequest(`You hold "${permission}" only because someone delegated it to you: it goes no further.`)
    const { signedInBy } = actor
    const isInScope = (signedInBy.kind === 'session' || signedInBy.projectId === null || signedInBy.projectId === projectId) &&
      narrow(new Set([permission]), signedInBy).has(permission)
    if (!isByRole || !isInScope) throw new Forbidden(`You do not hold "${permission}" there, so you cannot delegate it.`)
  }

  const list: Delegations['list'] = async (actor, { limit, offset }) => {
    const seesAll = await decisions.can(actor, 'admin:delegate')
    const [items, total] = await Promise.all([
      postgres.any(sql.type(Row)`
        ${selection(now())} where ${seesAll} or ${actor.id} in (d.delegator_id, d.delegate_id)
        order by d.created_at desc, d.id limit ${limit} offset ${offset}
      `),
      postgres.oneFirst(sql.type(z.object({ total: z.int() }))`
        select count(*) as total from public.delegations d where ${seesAll} or ${actor.id} in (d.delegator_id, d.delegate_id)
      `)
    ])
    return { items: [...items], total }
  }

  const revoke: Delegations['revoke'] = async (actor, id, origin) => {
    const mayAll = await decisions.can(actor, 'admin:delegate')
    await changeAccess(async tx => {
      const found = await tx.maybeOne(sql.type(Row)`${selection(now())} where d.id = ${id}`)
      const isNone = found === null || (!mayAll && ![found.delegatorId, found.delegateId].includes(actor.id))
      if (isNone) throw new NotFound('There is no such delegation.')
      if (!mayAll && found.delegatorId !== actor.id) throw new Forbidden('Only who delegated it, or who holds "admin:delegate", revokes it.')
      // Revoked already: what was asked for is so.
      if (found.revokedAt !== null) return
      await tx.query(sql.type(z.object({}))`update public.delegations set revoked_at = ${now()} where id = ${id}`)
      const { delegatorId, delegateId, permission, projectId } = found
      await recordAudit(tx, {
        actor, action: 'delegation.revoke', resource: 'delegation', resourceId: id, projectId, detail: { delegatorId, delegateId, permission }, origin
      })
    })
  }

  return { grant, list, revoke }
}

const selection = (now: string) => sql.fragment`
  select
    d.id, d.delegator_id as "delegatorId", lender.name as "delegatorName", d.delegate_id as "delegateId", borrower.name as "delegateName",
    p.name as permission, d.project_id as "projectId", d.expires_at as "expiresAt", d.reason, d.created_at as "createdAt", d.revoked_at as "revokedAt",
    ${counts(now)} as "isEffective"
  from public.delegations d
  join public.users lender on lender.id = d.delegator_id join public.users borrower on borrower.id = d.delegate_id join public.permissions p on p.id = d.permission_id
`
