// Exports what the rest of the host uses of access control: users, sign-in, permissions and the audit log.

export { writeAs } from './audit/audit-log.ts'
export { isCaller } from './common/caller.ts'
export { createAccess, type AccessParts, type AccessModule } from './access-module.ts'
export { checkFirstAdmin, FirstAdminRefused, firstRun, type FirstAdmin, type FirstRun, type FirstRunParts } from './user/first-run.ts'
export { corePermissions, permissionHomes, syncPermissions, type DeclaredPermission } from './permission/permission.ts'
export { prepareAccess } from './prepare-access.ts'
export { warnOfPairs } from './user/user-key.ts'
export type { RefusalFacts } from './audit/refusal-log.ts'
