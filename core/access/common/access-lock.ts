// The lock under which hosts that start at once set up access one after the other.

import { sql, z } from '../../contract/index.ts'
import type { Transaction } from '../../contract/index.ts'

/** Held until the transaction ends. */
export async function lockAccess (tx: Transaction): Promise<void> {
  await tx.query(sql.type(z.object({ isLocked: z.boolean() }))`
    select true as "isLocked" from pg_advisory_xact_lock(hashtextextended('bulkhead access', 0))
  `)
}
