// Who is meant by an id, for those who read the answer.

import type { Access, User } from 'bulkhead'

export type NameOf = (id: string | null) => string | null

/** One query for all of them, and none where the caller is the only one. */
export async function findNames (access: Access, caller: User, ids: readonly (string | null)[]): Promise<NameOf> {
  const people = await access.people(ids.filter(id => id !== null).filter(id => id !== caller.id))
  return id => id === caller.id ? caller.name : id === null ? null : people.get(id)?.name ?? null
}
