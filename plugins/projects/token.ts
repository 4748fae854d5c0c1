// What a token leaves of what follows from being an owner, an author or a reader; what follows from roles access has narrowed already.

import { Forbidden } from 'bulkhead'
import type { ActingUser, Token, User } from 'bulkhead'

/** The caller of a request, or a user without a token: one that a plugin acts as, or an id. */
export type Subject = User | ActingUser | string

/** Undefined where no token limits the user. */
const tokenOf = (user: Subject): Token | undefined =>
  typeof user !== 'string' && 'signedInBy' in user && user.signedInBy.kind === 'token' ? user.signedInBy : undefined

export function isInScope (user: Subject, permission: string): boolean {
  const scopes = tokenOf(user)?.scopes ?? []
  return scopes.length === 0 || scopes.includes(permission)
}

/** Whether the token, where it is bound to a project, is bound to this one. */
export const isWithin = (user: Subject, projectId: string): boolean =>
  boundProjectOf(user) === null || boundProjectOf(user) === projectId

export const boundProjectOf = (user: Subject): string | null => tokenOf(user)?.projectId ?? null

/** For what needs no permission in any project, and yet not every token may: `Forbidden`. */
export function needScope (user: User, permission: string): void {
  if (!isInScope(user, permission)) throw new Forbidden(`The scopes of the token leave out "${permission}", which this needs.`)
}
