// The resource `encryption`: seals and opens envelopes for each plugin, and lists the sealed data that plugins declared.

import type { Encryption, Log, Sealed } from '../contract/index.ts'
import { createEnvelopes, keyIdOf } from './envelope.ts'
import type { MasterKeys } from './master-key.ts'

/** One kind of sealed data, as a plugin that runs on this replica has declared it. */
export interface Kept {
  readonly plugin: string
  readonly name: string
  readonly sealed: Sealed
}

export interface EncryptionModule {
  /** The id of the key that seals. */
  readonly keyId: string
  /** The id of the second key, which only opens, while a rotation is under way. */
  readonly previousKeyId: string | undefined
  /** Makes the handle for one generation of a plugin. */
  scoped (plugin: string): Encryption
  /** Lists one declaration for each name, sorted by plugin and name. Of two generations, the declaration made last counts. */
  kept (): readonly Kept[]
  /** Calls `listener` after every declaration, until the returned function is called. */
  onKept (listener: () => void): () => void
}

const nameForm = /^[a-z0-9][a-z0-9-]{0,62}$/

/** Writes a warning to `log` when a plugin seals data without having declared any. */
export function createEncryption ({ key, previous }: MasterKeys, log?: Pick<Log, 'warn'>): EncryptionModule {
  const declarations = new Set<Kept>()
  const listeners = new Set<() => void>()

  return {
    keyId: keyIdOf(key),
    previousKeyId: previous && keyIdOf(previous),
    scoped: plugin => {
      const names = new Set<string>()
      const envelopes = createEnvelopes(plugin, previous === undefined ? [key] : [key, previous])
      let isWarned = false
      return {
        ...envelopes,
        seal (plain, context) {
          if (names.size === 0 && !isWarned) {
            isWarned = true
            log?.warn({ plugin }, `plugin "${plugin}" seals values but has not called encryption.keeps: they are lost when the master key changes`)
          }
          return envelopes.seal(plain, context)
        },
        keeps (name, { pending, rewrap }) {
          if (!nameForm.test(name)) throw new TypeError(`encryption.keeps(${JSON.stringify(name)}): the name must be lower-case letters, digits and dashes, at most 63`)
          if (names.has(name)) throw new TypeError(`encryption.keeps("${name}") was called twice; a name belongs to one kind of thing`)
          if (typeof pending !== 'function' || typeof rewrap !== 'function') throw new TypeError(`encryption.keeps("${name}") needs the functions "pending" and "rewrap"`)
          const declaration = { plugin, name, sealed: { pending, rewrap } }
          names.add(name)
          declarations.add(declaration)
          for (const listener of listeners) listener()
          return () => {
            names.delete(name)
            declarations.delete(declaration)
          }
        }
      }
    },
    kept: () => [...new Map([...declarations].map(kept => [`${kept.plugin} ${kept.name}`, kept])).values()]
      .sort((a, b) => a.plugin.localeCompare(b.plugin) || a.name.localeCompare(b.name)),
    onKept: listener => {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    }
  }
}
