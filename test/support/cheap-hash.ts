// Loaded into a host with `--import` by tests that sign in or set passwords thousands of times: argon2id runs at a low cost there, because a hash
// at the real cost takes a quarter of a second of processor time. Nothing else changes.

import { createRequire } from 'node:module'

interface Argon2 {
  hash (password: string, options: object): Promise<string>
  verify (digest: string, password: string): Promise<boolean>
}

// A `require` lets the module be changed before the host imports it; an import would fix its names.
const argon2 = createRequire(import.meta.url)('argon2') as Argon2
const { hash, verify } = argon2
const cost = { memoryCost: 1_024, timeCost: 2 }

Object.assign<Argon2, Argon2>(argon2, {
  hash: (password, options) => hash(password, { ...options, ...cost }),
  // The host compares the password of an unknown name with a hash that names the real cost.
  verify: (digest, password) => verify(digest.replace(/\$m=\d+,t=\d+/, `$m=${cost.memoryCost},t=${cost.timeCost}`), password)
})
