// Brings what access stores in the database up to date, at every start. Its tables are made by migrations before.

import type { Log, Postgres } from '../contract/index.ts'
import { allowArchive, sealAudit } from './audit/audit-seal.ts'
import { prepareUserKeys } from './user/user-key.ts'

/**
 * Makes four queries when there is nothing to do. Many hosts may call this at the same time.
 * `log` gets a warning for each thing that an operator should fix.
 */
export async function prepareAccess (postgres: Postgres, log?: Log, { auditIsArchived = false } = {}): Promise<void> {
  await prepareUserKeys(postgres)
  await sealAudit(postgres, log)
  await allowArchive(postgres, auditIsArchived)
}
