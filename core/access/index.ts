// Who may do what: what the composition root and the http room use of it.

export { writeAs } from './audit.ts'
export { isCaller } from './caller.ts'
export { createAccess, type AccessParts, type AccessRoom } from './room.ts'
export { createEncryption, type EncryptionRoom, type Kept } from './encryption.ts'
export { FirstAdminRefused, firstRun, type FirstAdmin, type FirstRun, type FirstRunParts } from './first-run.ts'
export { createKeyRotation, type KeyRotation, type KeyStatus } from './key-rotation.ts'
export { MasterKeyStillNeeded, verifyMasterKey, WrongMasterKey, type MasterKeys } from './master-key.ts'
export { corePermissions, permissionHomes, syncPermissions, type DeclaredPermission } from './permission.ts'
export { prepareAccess } from './prepare.ts'
export { warnOfPairs } from './user-key.ts'
export type { RefusalFacts } from './refusal-log.ts'
