// What a token leaves of what follows from being an owner, an author or a reader; what follows from roles access has narrowed already.

import { Forbidden } from 'bulkhead'
import type { User } from 'bulkhead'

/** A user given by id comes with no token. */
export const isInScope = (user: User | string, permission: string): boolean =>
  typeof user === 'string' || user.signedInBy.kind === 'session' || user.signedInBy.scopes.length === 0 || user.signedInBy.scopes.includes(permission)

/** Whether the token, where it is bound to a project, is bound to this one. */
export const isWithin = (user: User | string, projectId: string): boolean =>
  typeof user === 'string' || boundProjectOf(user) === null || boundProjectOf(user) === projectId

export const boundProjectOf = ({ signedInBy }: User): string | null => signedInBy.kind === 'token' ? signedInBy.projectId : null

/** For what needs no permission in any project, and yet not every token may: `Forbidden`. */
export function needScope (user: User, permission: string): void {
  if (!isInScope(user, permission)) throw new Forbidden(`The scopes of the token leave out "${permission}", which this needs.`)
}
