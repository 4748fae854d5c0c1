// The master key and what is sealed under it.

export { createEncryption, type EncryptionModule, type Kept } from './encryption-module.ts'
export { createKeyRotation, type KeyRotation, type KeyStatus } from './key-rotation.ts'
export { MasterKeyStillNeeded, verifyMasterKey, WrongMasterKey, type MasterKeys } from './master-key.ts'
