// The resource `postgres`: slonik's query methods, limited by the host to the plugin's share of connections.

import type { CommonQueryMethods } from 'slonik'

/**
 * Queries are built with `sql` and carry the zod schema of their row: `sql.type(Row)\`SELECT …\``. Each row is checked
 * against it.
 *
 * Values arrive as: timestamptz and timestamp → ISO 8601 string in UTC (milliseconds; `infinity` is unchanged), date →
 * `YYYY-MM-DD`, int8 → number (an unsafe one is an error), numeric → string, json and jsonb → parsed, bytea → Buffer.
 *
 * Rejects only with errors of the catalogue: `Conflict` (unique, foreign key), `ValidationFailed` (check, not null,
 * malformed value), `NotFound` (`one`, `many` without a row), `ServiceUnavailable` (no connection, queue full,
 * deadline).
 *
 * A plugin's own tables are in the schema named after its id: `notes.note`.
 */
type Queries = Omit<CommonQueryMethods, 'record' | 'stream' | 'transaction'>

export interface Transaction extends Queries {
  /** Runs `work` in a savepoint inside this transaction. */
  transaction<T> (work: (tx: Transaction) => Promise<T>): Promise<T>
}

export interface Postgres extends Queries {
  /**
   * Runs `work` in one transaction: commits when it resolves, rolls back when it rejects. On a serialization failure or
   * a deadlock `work` runs again, so it must have no effect outside the transaction.
   */
  transaction<T> (work: (tx: Transaction) => Promise<T>): Promise<T>
}

export { sql } from 'slonik'
