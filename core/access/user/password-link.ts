// Creates and redeems the links by which users set a new password themselves. An administrator makes a link and need not hold
// the permissions of the user. The link is mailed to the user and works once, within an hour. Only its hash is stored.

import { Conflict, Contact, sql, Unauthorized, z } from '../../contract/index.ts'
import type { Users } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'
import { networkOf } from '../common/network.ts'
import { createLinkToken, hashOf, isLinkToken } from '../credential/token.ts'
import type { RateLimit } from '../sign-in/rate-limit.ts'
import { endSessionsOf, revokeTokensOf } from './new-password.ts'
import type { UserParts } from './user-change.ts'
import { assertForms, refuseUnknown } from './user-row.ts'

const lifeMs = 3_600_000

const ContactRow = Contact.extend({ isActive: z.boolean() })
const LinkedUser = Contact.pick({ id: true, name: true })

export function createPasswordLinks (
  { postgres, clock, passwords, limits, decisions, forget }: UserParts
): Pick<Users, 'createPasswordLink' | 'setPasswordByLink'> {
  const createPasswordLink: Users['createPasswordLink'] = async (actor, id, origin) => {
    await decisions.require(actor, 'admin:users')
    const token = createLinkToken()
    const expiresAt = new Date(clock.now() + lifeMs).toISOString()
    const contact = await postgres.transaction(async tx => {
      const found = await tx.maybeOne(sql.type(ContactRow)`
        select id, name, display_name as "displayName", email, is_active as "isActive" from public.users where id = ${id} for share
      `)
      if (found === null) return refuseUnknown()
      const { isActive, ...user } = found
      if (!isActive) throw new Conflict('This user is not active, so no link would let them in.')
      await limits.take(tx, linkLimitOf(id))
      // Each user has one link, and a new one replaces the last. Any later change of the user, on any replica,
      // makes the link void.
      await tx.query(sql.type(z.object({}))`
        insert into bulkhead.password_link (user_id, token_hash, user_updated_at, expires_at)
        select id, ${hashOf(token)}, updated_at, ${expiresAt} from public.users where id = ${id}
        on conflict (user_id) do update
        set token_hash = excluded.token_hash, user_updated_at = excluded.user_updated_at, expires_at = excluded.expires_at
      `)
      await recordAudit(tx, { actor, action: 'user.password_link', resource: 'user', resourceId: id, detail: { expiresAt }, origin })
      return user
    })
    return { token, expiresAt, contact }
  }

  /** Locks the user until the transaction ends, so that only one of two concurrent requests with one link succeeds. */
  const findUser = (queries: Pick<typeof postgres, 'maybeOne'>, tokenHash: string): Promise<z.output<typeof LinkedUser> | null> => queries.maybeOne(sql.type(LinkedUser)`
    select u.id, u.name
    from bulkhead.password_link l join public.users u on u.id = l.user_id
    where l.token_hash = ${tokenHash} and l.expires_at > ${new Date(clock.now()).toISOString()} and u.is_active and u.updated_at = l.user_updated_at
    for update of u
  `)

  const setPasswordByLink: Users['setPasswordByLink'] = async ({ token, password, revokeTokens = false }, origin) => {
    assertForms({ password })
    if (!isLinkToken(token)) return refuse()
    const limit = attemptLimitOf(networkOf(origin))
    await limits.take(postgres, limit)
    const tokenHash = hashOf(token)
    // The link is checked before the hash is computed, which is expensive: an invalid link costs no hash.
    if (await findUser(postgres, tokenHash) === null) {
      await limits.forgetOld(postgres)
      return refuse()
    }
    const passwordHash = await passwords.hash(password)
    await postgres.transaction(async tx => {
      const user = await findUser(tx, tokenHash)
      if (user === null) return refuse()
      await tx.query(sql.type(z.object({}))`delete from bulkhead.password_link where user_id = ${user.id}`)
      await tx.query(sql.type(z.object({}))`update public.users set password_hash = ${passwordHash} where id = ${user.id}`)
      await recordAudit(tx, { actor: user, action: 'user.password', resource: 'user', resourceId: user.id, detail: { by: 'link' }, origin })
      await endSessionsOf(tx, user, user.id, null, origin)
      if (revokeTokens) await revokeTokensOf(tx, user, user.id, origin)
      await limits.giveBack(tx, [limit.key])
    })
    forget()
  }

  return { createPasswordLink, setPasswordByLink }
}

/** The answer is the same for every cause, so that the caller does not learn which one it was. */
const refuse = (): never => {
  throw new Unauthorized('This link is not valid: it was used, is older than an hour, or the user was changed since. Ask an administrator for a new one.')
}

const linkLimitOf = (id: string): RateLimit => ({
  key: `password-link:${id}`, max: 5, windowMs: lifeMs, refusal: 'This user was sent 5 links within an hour. Try again later.'
})

const attemptLimitOf = (network: string | null): RateLimit => ({
  key: `password-link:address:${network ?? ''}`, max: 10, windowMs: 300_000, refusal: 'Too many attempts to set a password by a link. Try again later.'
})
