// The resource `encryption`, for data that must not be readable in the database. Data is encrypted under a key derived
// from the master key, and encrypted again when the master key changes.

/**
 * Thrown for an envelope that cannot be opened. It was changed or truncated, it belongs to another row, plugin or
 * context than the given one, or it is under a key that this host does not have.
 */
export class SealBroken extends Error {
  readonly code = 'BULKHEAD_SEAL_BROKEN'

  constructor (why: string, options?: ErrorOptions) {
    super(why, options)
    this.name = 'SealBroken'
  }
}

/** Describes one kind of encrypted data that a plugin stores, so that a change of the master key can re-encrypt it. */
export interface Sealed {
  /** Resolves with the number of envelopes that are not under this key. */
  pending (keyId: string): Promise<number>
  /**
   * Opens at most `limit` of these envelopes and seals them again. It writes each one with an `UPDATE` that also
   * matches the envelope it has read, so that it overwrites no concurrent change. Resolves with the number of envelopes
   * written; 0 ends this round. An envelope that cannot be opened is logged and skipped.
   */
  rewrap (keyId: string, limit: number): Promise<number>
}

/**
 * The resource `encryption`. It uses AES-256-GCM with a key that is derived from the master key for this plugin alone.
 *
 * An envelope consists of, in bytes: its version (1), the id of the master key (8), a random nonce (12), the content,
 * and a tag (16). Rows that are not under a key can therefore be found in SQL by
 * `substring(sealed from 2 for 8) <> decode(keyId, 'hex')`. Later versions keep this position of the key id.
 */
export interface Encryption {
  /**
   * Encrypts `plain`. `context` names what the envelope belongs to: the row, its version, and anything else that must
   * not be interchangeable. It must have at least one entry. The context is not stored in the envelope and must be the
   * same to open it. The plugin's id, the key's id and the version of the envelope are added to it.
   */
  seal (plain: Uint8Array | string, context: readonly string[]): Buffer
  /**
   * Decrypts an envelope. Throws `SealBroken` unless it is the whole, unchanged envelope, of this plugin, in the same
   * context and under a known key.
   */
  open (envelope: Uint8Array, context: readonly string[]): Buffer
  /**
   * Declares a kind of encrypted data that this plugin stores, under a unique name. Data that is not declared is lost
   * when the master key changes. Call it in `start`. The declaration ends with the plugin, or when the returned
   * function is called.
   */
  keeps (name: string, sealed: Sealed): () => void
  /** The id of the master key that `seal` uses, as 16 hexadecimal digits. It reveals nothing about the key. */
  readonly keyId: string
}
