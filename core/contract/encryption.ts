// What a plugin keeps that must not be readable in the database: sealed under the master key, and moved along when that key is changed.

/**
 * An envelope that cannot be opened: it was changed or cut, it belongs to another row, plugin or context than the one given, or it is under a key
 * that this host does not have.
 */
export class SealBroken extends Error {
  readonly code = 'BULKHEAD_SEAL_BROKEN'

  constructor (why: string, options?: ErrorOptions) {
    super(why, options)
    this.name = 'SealBroken'
  }
}

/** A kind of thing that a plugin keeps sealed: how a change of the master key reaches it. */
export interface Sealed {
  /** How many are not under this key. */
  pending (keyId: string): Promise<number>
  /**
   * Opens at most `limit` of these, seals them again and writes each with an `UPDATE` that asks for the envelope it has read, so that a change
   * meanwhile is not undone. Resolves with how many were written; 0 ends this round. One that cannot be opened is told in the log and passed over.
   */
  rewrap (keyId: string, limit: number): Promise<number>
}

/**
 * The resource `encryption`: AES-256-GCM, under a key made from the master key for this plugin alone.
 *
 * An envelope is, in bytes: its version (1), the id of the master key (8), a random nonce (12), the content, and a tag (16). So rows that are not
 * under a key are found in SQL by `substring(sealed from 2 for 8) <> decode(keyId, 'hex')`; this holds for later versions, too.
 */
export interface Encryption {
  /**
   * `context` says what the envelope belongs to: the row, its version, whatever must not be exchanged. It is not kept in the envelope and must be
   * the same to open it; the plugin's id, the key's id and the version of the envelope are added. It names something at least.
   */
  seal (plain: Uint8Array | string, context: readonly string[]): Buffer
  /** Throws `SealBroken` for anything but the whole, unchanged envelope, of this plugin, in the same context and under a key that is known. */
  open (envelope: Uint8Array, context: readonly string[]): Buffer
  /**
   * Declares, under a name of its own, what this plugin keeps sealed: without it what it keeps is lost to a change of the master key. Call it in
   * `start`. It ends with the plugin, or when the result is called.
   */
  keeps (name: string, sealed: Sealed): () => void
  /** Of the master key that `seal` uses, 16 hexadecimal digits. It tells nothing of the key. */
  readonly keyId: string
}
