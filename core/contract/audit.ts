// The audit log: who did what, to what, from where. Rows are added and never change.

import type { Page, User, Origin } from './access.ts'
import type { Transaction } from './postgres.ts'

export interface AuditEntry {
  /**
   * The caller of the request (`ctx.user` itself), the user that `access.asUser` gave, or undefined for what the host or a task did by itself. An
   * entry with any other actor is written as well, marked as done by the plugin; the next major version refuses it.
   */
  readonly actor: Pick<User, 'id' | 'name'> | undefined
  /** `thing.verb`: `invoice.pay`. */
  readonly action: string
  /** The kind of thing: `invoice`. */
  readonly resource: string
  readonly resourceId?: string | null
  readonly projectId?: string | null
  /** What is worth knowing later, as JSON of 16 kB at most. Never a password or a secret; a token of the host's is masked. */
  readonly detail?: Readonly<Record<string, unknown>>
  /** Where the request came from: `{ address: ctx.ip }`. */
  readonly origin?: Pick<Origin, 'address'>
}

export interface AuditRecord {
  readonly id: string
  /** `00000000-0000-0000-0000-000000000000` for whoever is no user. */
  readonly actorId: string
  /** As it was at the time. */
  readonly actorName: string
  readonly action: string
  readonly resource: string
  readonly resourceId: string | null
  readonly projectId: string | null
  readonly detail: unknown
  readonly address: string | null
  /** The id of the plugin that wrote the entry, or through which it came about; null for the host's own, and for entries of versions before 1.3. */
  readonly plugin: string | null
  /** The plugin did it as the actor, and no request of the actor's led to it. */
  readonly isByPlugin: boolean
  readonly createdAt: string
}

/** What is given must all hold. */
export interface AuditFilter {
  readonly actorId?: string | undefined
  readonly action?: string | undefined
  readonly resource?: string | undefined
  readonly resourceId?: string | undefined
  readonly projectId?: string | undefined
  /** A plugin's id. */
  readonly plugin?: string | undefined
  /** ISO 8601; that moment included. */
  readonly from?: string | undefined
  /** ISO 8601; that moment excluded. */
  readonly to?: string | undefined
}

export interface Audit {
  /** Writes a row in the transaction of the change it tells of: both are there, or neither. */
  record (tx: Pick<Transaction, 'query'>, entry: AuditEntry): Promise<void>
  /** Newest first. Needs `admin:users`. */
  find (user: User, filter: AuditFilter, page: Page): Promise<{ items: AuditRecord[], total: number }>
}
