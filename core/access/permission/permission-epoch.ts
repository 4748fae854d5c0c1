// Changes to what someone may do: one after the other, and void from then on is all that was computed before.

import { Conflict, sql, z } from '../../contract/index.ts'
import type { Postgres, Transaction } from '../../contract/index.ts'

export type ChangeAccess = <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>

interface ChangeAccessDeps {
  readonly postgres: Postgres
  /** Makes every replica ask again. */
  readonly forget: () => void
}

export function createChangeAccess ({ postgres, forget }: ChangeAccessDeps): ChangeAccess {
  return async work => {
    // The epoch comes first: its one row is what these transactions queue for, so each sees what the one before it did.
    const result = await postgres.transaction(async tx => {
      await bumpEpoch(tx)
      return work(tx)
    })
    forget()
    return result
  }
}

/** Part of every transaction that changes what someone may do: it voids, everywhere, what was computed before. */
export async function bumpEpoch (tx: Transaction): Promise<void> {
  await tx.query(sql.type(z.object({}))`update bulkhead.access_epoch set value = value + 1`)
}

/** Keeps what everyone may do as it is until the transaction ends: changes to it wait. It comes before any lock on a user. */
export async function holdAccess (tx: Transaction): Promise<void> {
  await tx.oneFirst(sql.type(z.object({ value: z.int() }))`select value from bulkhead.access_epoch for share`)
}

/** The last word of a change that takes an admin away: without one nobody could ever mend it. */
export async function assertAdminLeft (tx: Transaction): Promise<void> {
  const isLeft = await tx.oneFirst(sql.type(z.object({ isLeft: z.boolean() }))`
    select exists (
      select from public.user_roles ur join public.roles r on r.id = ur.role_id join public.users u on u.id = ur.user_id
      where r.name = 'admin' and r.is_system and ur.project_id is null and u.is_active
    ) as "isLeft"
  `)
  if (!isLeft) throw new Conflict('This is the last active admin. Make someone else an admin first.')
}
