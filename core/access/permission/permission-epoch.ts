// Makes changes to what users may do, one after the other. Each change voids all permissions that were computed
// before it.

import { Conflict, sql, z } from '../../contract/index.ts'
import type { Postgres, Transaction } from '../../contract/index.ts'

export type ChangeAccess = <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>

interface ChangeAccessDeps {
  readonly postgres: Postgres
  /** Makes every replica read the database again. */
  readonly forget: () => void
}

export function createChangeAccess ({ postgres, forget }: ChangeAccessDeps): ChangeAccess {
  return async work => {
    // The epoch is updated first: these transactions queue for its one row, so each sees what the previous one did.
    const result = await postgres.transaction(async tx => {
      await bumpEpoch(tx)
      return work(tx)
    })
    forget()
    return result
  }
}

/**
 * Voids all permissions that were computed before, on every replica.
 * Every transaction that changes what a user may do calls this.
 */
export async function bumpEpoch (tx: Transaction): Promise<void> {
  await tx.query(sql.type(z.object({}))`update bulkhead.access_epoch set value = value + 1`)
}

/**
 * Makes changes to what users may do wait until the transaction ends.
 * A transaction calls this before it locks any user.
 */
export async function holdAccess (tx: Transaction): Promise<void> {
  await tx.oneFirst(sql.type(z.object({ value: z.int() }))`select value from bulkhead.access_epoch for share`)
}

/**
 * Throws `Conflict` when no active admin is left. A change that takes an admin away calls this after it has done so:
 * without an admin, no user could fix the situation.
 */
export async function assertAdminLeft (tx: Transaction): Promise<void> {
  const isLeft = await tx.oneFirst(sql.type(z.object({ isLeft: z.boolean() }))`
    select exists (
      select from public.user_roles ur join public.roles r on r.id = ur.role_id join public.users u on u.id = ur.user_id
      where r.name = 'admin' and r.is_system and ur.project_id is null and u.is_active
    ) as "isLeft"
  `)
  if (!isLeft) throw new Conflict('This is the last active admin. Make someone else an admin first.')
}
