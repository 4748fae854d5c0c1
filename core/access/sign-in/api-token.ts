// Creates, lists and revokes a user's own API tokens. Only the hash of a token is stored.

import { Forbidden, NotFound, sql, TokenRecord, ValidationFailed, z } from '../../contract/index.ts'
import type { Access, Clock, FieldError, Postgres, User } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'
import { createApiToken, hashOf } from '../credential/token.ts'
import { assertMayName, isNarrowed, mayKnowProject } from '../permission/authority.ts'
import { revokeTokensOf } from '../user/new-password.ts'
import { holdUser } from '../user/user-row.ts'
import type { RateLimit, RateLimits } from './rate-limit.ts'

interface ApiTokensDeps {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly limits: RateLimits
  readonly forget: (tokenHash: string) => void
}

type NewToken = Parameters<Access['createToken']>[1]

const dayMs = 86_400_000
const lifeDaysMax = 365

export function createApiTokens (
  { postgres, clock, limits, forget }: ApiTokensDeps
): Pick<Access, 'createToken' | 'listTokens' | 'revokeToken' | 'revokeTokens'> {
  const createToken: Access['createToken'] = async (user, input, origin) => {
    const { name, projectId = null } = input
    const scopes = [...new Set(input.scopes)]
    const problems = [...findLifeProblems(input), ...await findScopeProblems(input.scopes), ...await findProjectProblems(user, projectId, scopes)]
    if (problems.length > 0) throw new ValidationFailed(problems)
    assertNotWider(user, scopes, projectId)
    await assertMayName(postgres, user, scopes)

    const token = createApiToken()
    const expiresAt = expiryOf(user, input)
    const record = await postgres.transaction(async tx => {
      await limits.take(tx, limitOf(user))
      await holdUser(tx, user.id, null)
      const row = await tx.one(sql.type(TokenRecord)`
        insert into public.api_tokens (user_id, name, token_hash, scopes, project_id, expires_at, last_used_at)
        values (${user.id}, ${name}, ${hashOf(token)}, ${sql.array(scopes, 'text')}::text[], ${projectId}, ${expiresAt}, null)
        returning id, name, scopes, project_id as "projectId", last_used_at as "lastUsedAt", expires_at as "expiresAt", created_at as "createdAt"
      `)
      await recordAudit(tx, {
        actor: user, action: 'token.create', resource: 'token', resourceId: row.id, projectId, detail: { name, scopes, expiresAt }, origin
      })
      return row
    })
    return { ...record, token }
  }

  async function findScopeProblems (scopes: readonly string[]): Promise<FieldError[]> {
    if (scopes.length === 0) return []
    const known = new Set(await postgres.anyFirst(sql.type(z.object({ name: z.string() }))`
      select name from public.permissions where name = any(${sql.array(scopes, 'text')}::text[])
    `))
    return scopes.flatMap((scope, index) =>
      known.has(scope) ? [] : [{ path: `body.scopes.${index}`, message: `There is no permission "${scope}".` }])
  }

  /** A project that the caller may not know of gets the same answer as one that does not exist. */
  async function findProjectProblems (user: User, projectId: string | null, scopes: readonly string[]): Promise<FieldError[]> {
    if (projectId === null) return []
    const isKnown = await mayKnowProject(postgres, user, { projectId, about: scopes, now: new Date(clock.now()).toISOString() })
    return isKnown ? [] : [{ path: 'body.projectId', message: 'There is no such project.' }]
  }

  const expiryOf = ({ signedInBy }: User, { expiresInDays }: NewToken): string => {
    const wantedMs = clock.now() + expiresInDays * dayMs
    const mostMs = signedInBy.kind === 'token' && signedInBy.expiresAt !== null ? Date.parse(signedInBy.expiresAt) : Infinity
    return new Date(Math.min(wantedMs, mostMs)).toISOString()
  }

  const listTokens: Access['listTokens'] = async (user, { limit, offset }) => {
    // A narrowed token sees only itself.
    const only = isNarrowed(user) ? user.signedInBy.id : null
    const where = sql.fragment`where user_id = ${user.id} and (${only}::uuid is null or id = ${only}::uuid)`
    const [items, total] = await Promise.all([
      postgres.any(sql.type(TokenRecord)`
        select id, name, scopes, project_id as "projectId", last_used_at as "lastUsedAt", expires_at as "expiresAt", created_at as "createdAt"
        from public.api_tokens ${where} order by created_at desc, id limit ${limit} offset ${offset}
      `),
      postgres.oneFirst(sql.type(z.object({ total: z.int() }))`select count(*) as total from public.api_tokens ${where}`)
    ])
    return { items: [...items], total }
  }

  const revokeToken: Access['revokeToken'] = async (user, id, origin) => {
    if (isNarrowed(user) && user.signedInBy.id !== id) throw new Forbidden(revokesItself)
    const tokenHash = await postgres.transaction(async tx => {
      const row = await tx.maybeOne(sql.type(z.object({ name: z.string(), tokenHash: z.string(), projectId: z.uuid().nullable() }))`
        delete from public.api_tokens where id = ${id} and user_id = ${user.id} returning name, token_hash as "tokenHash", project_id as "projectId"
      `)
      if (row === null) throw new NotFound('You have no such token.')
      const { name, projectId } = row
      await recordAudit(tx, { actor: user, action: 'token.revoke', resource: 'token', resourceId: id, projectId, detail: { name }, origin })
      return row.tokenHash
    })
    forget(tokenHash)
  }

  const revokeTokens: Access['revokeTokens'] = async (user, origin) => {
    if (isNarrowed(user)) throw new Forbidden(revokesItself)
    const hashes = await postgres.transaction(tx => revokeTokensOf(tx, user, user.id, origin))
    hashes.forEach(forget)
  }

  return { createToken, listTokens, revokeToken, revokeTokens }
}

const revokesItself = 'A token with scopes or a project can revoke only itself. Sign in, or use a token without them.'

function findLifeProblems ({ expiresInDays }: NewToken): FieldError[] {
  const fits = Number.isInteger(expiresInDays) && expiresInDays >= 1 && expiresInDays <= lifeDaysMax
  return fits ? [] : [{ path: 'body.expiresInDays', message: `A token lives 1 to ${lifeDaysMax} days.` }]
}

/** A token cannot create a token that may do more than itself, nor (see `expiryOf`) one that outlives it. */
function assertNotWider ({ signedInBy: own }: User, scopes: readonly string[], projectId: string | null): void {
  if (own.kind !== 'token') return
  if (own.projectId !== null && own.projectId !== projectId) {
    throw new Forbidden('The token you use is bound to a project: bind the new one to the same.')
  }
  if (own.scopes.length === 0) return
  if (scopes.length === 0) throw new Forbidden('The token you use has scopes: name some of them for the new one.')
  const wider = scopes.filter(scope => !own.scopes.includes(scope))
  if (wider.length > 0) throw new Forbidden(`The token you use does not have the scope ${wider.map(scope => `"${scope}"`).join(', ')}.`)
}

const limitOf = (user: User): RateLimit => ({
  key: `token:${user.id}`, max: 20, windowMs: 3_600_000, refusal: 'You have made 20 tokens within an hour. Try again later.'
})
