// Exports what the rest of the host uses of encryption: envelopes, the check of the master key, and its rotation.

export { createEncryption, type EncryptionModule, type Kept } from './encryption-module.ts'
export { createKeyRotation, type KeyRotation, type KeyStatus } from './key-rotation.ts'
export { MasterKeyStillNeeded, verifyMasterKey, WrongMasterKey, type MasterKeys } from './master-key.ts'
