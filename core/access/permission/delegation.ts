// Grants, lists and revokes delegations: permissions that one user lends to another.
// Whether a delegation counts is decided where permissions are computed (`counts` in permission-sql.ts).

import { BadRequest, Conflict, DelegationRecord, Forbidden, NotFound, sql, ValidationFailed, z } from '../../contract/index.ts'
import type { Clock, Delegations, FieldError, NewDelegation, Postgres, Transaction, User } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'
import type { RateLimit, RateLimits } from '../sign-in/rate-limit.ts'
import { isLeftByToken, isNarrowed, mayKnowProject, scopesOf } from './authority.ts'
import type { Authorization } from './authorization.ts'
import type { ChangeAccess } from './permission-epoch.ts'
import { counts, holdsByRole, isNeverLent } from './permission-sql.ts'

interface DelegationsDeps {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly limits: RateLimits
  readonly decisions: Authorization
  readonly changeAccess: ChangeAccess
}

const reasonLengthMax = 10_000

const Held = z.object({ isByRole: z.boolean(), isLent: z.boolean() })

export function createDelegations ({ postgres, clock, limits, decisions, changeAccess }: DelegationsDeps): Delegations {
  const now = (): string => new Date(clock.now()).toISOString()

  const grant: Delegations['grant'] = async (actor, input, origin) => {
    const { delegateId, permission, projectId = null, expiresAt = null, reason = null } = input
    if (delegateId === actor.id) throw new BadRequest('You cannot delegate to yourself.')
    if (isNeverLent(permission)) throw new BadRequest(`"${permission}" grants or reveals, so it cannot be delegated. Assign a role that has it.`)
    limits.assertNotKnownFull(limitOf(actor))
    return changeAccess(async tx => {
      await limits.take(tx, limitOf(actor))
      const noProject = await findProjectProblems(tx, actor, projectId, permission)
      const permissionId = await assertSound(tx, input, noProject)
      await assertMayLend(tx, actor, { permission, permissionId, projectId })
      // This check comes last, whether the project does not exist or the caller may not know of it.
      // The answer is the same for both.
      if (noProject.length > 0) throw new ValidationFailed(noProject)
      const id = await tx.maybeOneFirst(sql.type(z.object({ id: z.uuid() }))`
        insert into public.delegations as d (delegator_id, delegate_id, permission_id, project_id, expires_at, reason, revoked_at)
        values (${actor.id}, ${delegateId}, ${permissionId}, ${projectId}, ${expiresAt}, ${reason}, null)
        on conflict (delegator_id, delegate_id, permission_id, project_id) do update
        set expires_at = excluded.expires_at, reason = excluded.reason, created_at = excluded.created_at, revoked_at = null
        where d.revoked_at is not null or d.expires_at <= ${now()}
        returning id
      `)
      if (id === null) throw new Conflict('You delegate this already. Revoke it first to change it.')
      await recordAudit(tx, {
        actor, action: 'delegation.create', resource: 'delegation', resourceId: id, projectId, detail: { delegateId, permission, expiresAt, reason: reason?.slice(0, 500).toWellFormed() ?? null }, origin
      })
      return tx.one(sql.type(DelegationRecord)`${selection(now())} where d.id = ${id}`)
    })
  }

  const findProjectProblems = async (tx: Transaction, actor: User, projectId: string | null, permission: string): Promise<FieldError[]> =>
    projectId === null || await mayKnowProject(tx, actor, { projectId, about: [permission], now: now() }) ? [] : [{ path: 'body.projectId', message: 'There is no such project.' }]

  /** Checks the input and returns the permission's id. `noProject` is reported together with other problems. */
  async function assertSound (
    tx: Transaction, { delegateId, permission, expiresAt, reason }: NewDelegation, noProject: readonly FieldError[]
  ): Promise<string> {
    const permissionId = await tx.maybeOneFirst(sql.type(z.object({ id: z.uuid() }))`select id from public.permissions where name = ${permission}`)
    const delegate = await tx.maybeOneFirst(sql.type(z.object({ id: z.uuid() }))`select id from public.users where id = ${delegateId} and is_active`)
    const problems = [
      ...delegate === null ? [{ path: 'body.delegateId', message: 'There is no such active user.' }] : [],
      ...permissionId === null ? [{ path: 'body.permission', message: `There is no permission "${permission}".` }] : [],
      ...expiresAt !== undefined && !(Date.parse(expiresAt) > clock.now()) ? [{ path: 'body.expiresAt', message: 'It must be in the future.' }] : [],
      ...reason !== undefined && reason.length > reasonLengthMax ? [{ path: 'body.reason', message: `It has ${reasonLengthMax} characters at most.` }] : []
    ]
    if (problems.length > 0 || permissionId === null) throw new ValidationFailed([...problems, ...noProject])
    return permissionId
  }

  /**
   * Checks that the caller may lend the permission. It runs in the transaction, after every earlier change:
   * a permission that the caller lost a moment ago is not lent.
   */
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
    if (!isByRole && isLent) throw new BadRequest(`You hold "${permission}" only because someone delegated it to you, so you cannot delegate it further.`)
    if (!isByRole || !isLeftByToken(actor, permission, projectId)) throw new Forbidden(`You do not hold "${permission}" there, so you cannot delegate it.`)
  }

  const list: Delegations['list'] = async (actor, { limit, offset }) => {
    const seesAll = await decisions.can(actor, 'admin:delegate')
    const scopes = scopesOf(actor)
    // A token with scopes sees only the delegations of these permissions.
    const where = sql.fragment`
      where ${seesAll} or (${actor.id} in (d.delegator_id, d.delegate_id) and (${scopes === null} or p.name = any(${sql.array(scopes ?? [], 'text')}::text[])))
    `
    const [items, total] = await Promise.all([
      postgres.any(sql.type(DelegationRecord)`${selection(now())} ${where} order by d.created_at desc, d.id limit ${limit} offset ${offset}`),
      postgres.oneFirst(sql.type(z.object({ total: z.int() }))`
        select count(*) as total from public.delegations d join public.permissions p on p.id = d.permission_id ${where}
      `)
    ])
    return { items: [...items], total }
  }

  const revoke: Delegations['revoke'] = async (actor, id, origin) => {
    const mayAll = await decisions.can(actor, 'admin:delegate')
    limits.assertNotKnownFull(limitOf(actor))
    await changeAccess(async tx => {
      await limits.take(tx, limitOf(actor))
      const found = await tx.maybeOne(sql.type(DelegationRecord)`${selection(now())} where d.id = ${id}`)
      const isNone = found === null || (!mayAll && ![found.delegatorId, found.delegateId].includes(actor.id))
      if (isNone) throw new NotFound('There is no such delegation.')
      if (!mayAll && found.delegatorId !== actor.id) throw new Forbidden('Only the user who delegated it, or a holder of "admin:delegate", can revoke it.')
      if (!mayAll && isNarrowed(actor)) throw new Forbidden('A token with scopes cannot revoke a delegation. Sign in, or use a token without scopes.')
      // The delegation is revoked already, so there is nothing left to do.
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

const limitOf = ({ id }: User): RateLimit => ({
  key: `delegation:${id}`, max: 30, windowMs: 3_600_000, refusal: 'You have made and revoked 30 delegations within an hour. Try again later.'
})

const selection = (now: string) => sql.fragment`
  select
    d.id, d.delegator_id as "delegatorId", lender.name as "delegatorName", d.delegate_id as "delegateId", borrower.name as "delegateName",
    p.name as permission, d.project_id as "projectId",
    case when d.expires_at >= '10000-01-01' then '9999-12-31T23:59:59Z' else d.expires_at end as "expiresAt", d.reason, d.created_at as "createdAt", d.revoked_at as "revokedAt",
    ${counts(now)} as "isEffective"
  from public.delegations d
  join public.users lender on lender.id = d.delegator_id join public.users borrower on borrower.id = d.delegate_id join public.permissions p on p.id = d.permission_id
`
