// The audit log: it records who did what, to what, and from where. Rows are added and never change.

import type { Page, User, Origin } from './access.ts'
import type { Transaction } from './postgres.ts'
import type { AuditRecord } from './record.ts'

export interface AuditEntry {
  /**
   * The user who acted: the caller of the request (`ctx.user` itself) or a user from `access.asUser`. Undefined stands
   * for an action of the host, or of a task on its own. An entry with any other actor is written too, but marked as
   * made by the plugin; the next major version refuses it.
   */
  readonly actor: Pick<User, 'id' | 'name'> | undefined
  /** The action, as `thing.verb`: `invoice.pay`. */
  readonly action: string
  /** The kind of thing that the action affects: `invoice`. */
  readonly resource: string
  readonly resourceId?: string | null
  readonly projectId?: string | null
  /**
   * Details for a later reader, at most 16,384 characters as JSON. Never include a password or a secret; the host's own
   * tokens are masked.
   */
  readonly detail?: Readonly<Record<string, unknown>>
  /** The origin of the request: `{ address: ctx.ip }`. */
  readonly origin?: Pick<Origin, 'address'>
}

/** A filter of audit records. A record must match every given field. */
export interface AuditFilter {
  readonly actorId?: string | undefined
  readonly action?: string | undefined
  readonly resource?: string | undefined
  readonly resourceId?: string | undefined
  readonly projectId?: string | undefined
  /** A plugin's id. */
  readonly plugin?: string | undefined
  /** The start of the period, inclusive, in ISO 8601. */
  readonly from?: string | undefined
  /** The end of the period, exclusive, in ISO 8601. */
  readonly to?: string | undefined
}

export interface Audit {
  /** Writes a row in the transaction of the change that it records. Either both are stored, or neither. */
  record (tx: Pick<Transaction, 'query'>, entry: AuditEntry): Promise<void>
  /** Finds records, newest first. Needs `admin:users`. */
  find (user: User, filter: AuditFilter, page: Page): Promise<{ items: AuditRecord[], total: number }>
}
