// The resource `storage`: objects in a bucket (in development, in a folder). The host prefixes every key with the
// plugin's id.

export interface StoredObject {
  key: string
  sizeBytes: number
  /** In ISO 8601; undefined where the service does not report it. */
  lastModified: string | undefined
}

/**
 * Object storage. A key has at most 1,024 bytes of UTF-8 in NFC, and the plugin's own prefix counts toward them. It
 * consists of segments joined by `/`, with no empty, `.` or `..` segment, no leading `/`, no backslash, no control
 * character and no white space at either end. Any other key is a `BadRequest`. A missing object is a `NotFound`.
 */
export interface Storage {
  read (key: string): Promise<Buffer>
  write (key: string, content: Buffer | string, options?: { contentType?: string }): Promise<void>
  /** Resolves with undefined when there is no such object. */
  stat (key: string): Promise<StoredObject | undefined>
  /** Removes the object. A missing object is not an error. */
  delete (key: string): Promise<void>
  /** Lists the objects whose key begins with `prefix`, in key order, at most `limit` (default 1,000). */
  list (prefix: string, options?: { limit?: number }): Promise<StoredObject[]>
  /**
   * Creates a URL that reads (or writes) one object without further authentication. Resolves with undefined where the
   * service has no such URLs.
   */
  presign (key: string, options: { for: 'read' | 'write', expiresInMs: number }): Promise<string | undefined>
}
