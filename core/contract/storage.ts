// Objects in a bucket (or, in development, a folder), as a plugin sees them. Keys are prefixed with the plugin's id.

export interface StoredObject {
  key: string
  sizeBytes: number
  /** ISO 8601, or undefined where the service does not say. */
  lastModified: string | undefined
}

/**
 * Keys: at most 1,024 bytes of UTF-8 in NFC, segments joined by `/`, no empty, `.` or `..` segment, no leading `/`,
 * no backslash, no control character and no white space at either end; anything else is a `BadRequest`. The plugin's own prefix counts into the
 * 1,024 bytes. Missing objects are `NotFound`.
 */
export interface Storage {
  read (key: string): Promise<Buffer>
  write (key: string, content: Buffer | string, options?: { contentType?: string }): Promise<void>
  /** Undefined when there is no such object. */
  stat (key: string): Promise<StoredObject | undefined>
  /** Removes the object; one that is not there is no error. */
  delete (key: string): Promise<void>
  /** Every object whose key begins with `prefix`, in key order, at most `limit` (1,000 unless said). */
  list (prefix: string, options?: { limit?: number }): Promise<StoredObject[]>
  /** A link that reads (or writes) one object without further sign-in, or undefined where the service has no such links. */
  presign (key: string, options: { for: 'read' | 'write', expiresInMs: number }): Promise<string | undefined>
}
