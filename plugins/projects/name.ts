// Finds the names of users, so that answers show names besides ids.

import type { Access, User } from 'bulkhead'

export type NameOf = (id: string | null) => string | null

/** Finds all names in one query. It makes no query when the caller is the only user. */
export async function findNames (access: Access, caller: User, ids: readonly (string | null)[]): Promise<NameOf> {
  const people = await access.people(ids.filter(id => id !== null).filter(id => id !== caller.id))
  return id => id === caller.id ? caller.name : id === null ? null : people.get(id)?.name ?? null
}
