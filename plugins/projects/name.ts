// Who is meant by an id, for those who read the answer.

import type { Access } from 'bulkhead'

export type NameOf = (id: string | null) => string | null

/** One query for all of them. */
export async function findNames (access: Access, ids: readonly (string | null)[]): Promise<NameOf> {
  const people = await access.people(ids.filter(id => id !== null))
  return id => id === null ? null : people.get(id)?.name ?? null
}
