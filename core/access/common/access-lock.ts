// The lock that makes hosts which start at the same time set up access one after the other.

import { sql, z } from '../../contract/index.ts'
import type { Transaction } from '../../contract/index.ts'

/** Takes the lock, which is held until the transaction ends. */
export async function lockAccess (tx: Transaction): Promise<void> {
  await tx.query(sql.type(z.object({ isLocked: z.boolean() }))`
    select true as "isLocked" from pg_advisory_xact_lock(hashtextextended('bulkhead access', 0))
  `)
}
