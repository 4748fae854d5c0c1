// Applies a token's limits to rights that follow from being an owner, an author or a reader. Rights from roles are
// already narrowed by `access`.

import { Forbidden } from 'bulkhead'
import type { ActingUser, Token, User } from 'bulkhead'

/** The caller of a request, or a user without a token: an acting user or a user's id. */
export type Subject = User | ActingUser | string

/** Returns the token that limits the user, or undefined when there is none. */
const tokenOf = (user: Subject): Token | undefined =>
  typeof user !== 'string' && 'signedInBy' in user && user.signedInBy.kind === 'token' ? user.signedInBy : undefined

export function isInScope (user: Subject, permission: string): boolean {
  const scopes = tokenOf(user)?.scopes ?? []
  return scopes.length === 0 || scopes.includes(permission)
}

/** Tells whether the token, if it is bound to a project, is bound to this one. */
export const isWithin = (user: Subject, projectId: string): boolean =>
  boundProjectOf(user) === null || boundProjectOf(user) === projectId

export const boundProjectOf = (user: Subject): string | null => tokenOf(user)?.projectId ?? null

/**
 * Throws `Forbidden` when a token's scopes leave out the permission. It is for actions that need no permission in any
 * project, but that not every token may take.
 */
export function needScope (user: User, permission: string): void {
  if (!isInScope(user, permission)) throw new Forbidden(`The scopes of the token leave out "${permission}", which this needs.`)
}
