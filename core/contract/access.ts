// Who is calling and what they may do. People and agents are the same kind of user.

import type { Delegations, Roles, Users } from './administration.ts'
import type { Audit } from './audit.ts'

/**
 * The caller of a request. It is recognised by identity: `access` takes the object that the host made and refuses a copy of it
 * (`BULKHEAD_USER_NOT_RECOGNISED`). Nothing of it can be changed.
 */
export interface User {
  readonly id: string
  readonly name: string
  readonly displayName: string | null
  readonly email: string
  /** Effective permissions outside any project, already narrowed by a token's scopes. */
  readonly permissions: ReadonlySet<string>
  readonly signedInBy: Session | Token
}

/**
 * A user that a plugin acts as without a request of the user's, made by `access.asUser`. It may be asked about, handed to services that take it, and
 * written into the audit log, which marks the entry as done by the plugin. It administers nothing: no tokens, sessions, users, roles or delegations.
 */
export interface ActingUser extends Pick<User, 'id' | 'name' | 'displayName' | 'email' | 'permissions'> {
  /** The id of the plugin. */
  readonly actingPlugin: string
}

export interface Session {
  readonly kind: 'session'
  readonly id: string
  /** ISO 8601. Using the session puts it off, to 24 hours after signing in at most. */
  readonly expiresAt: string
}

export interface Token {
  readonly kind: 'token'
  readonly id: string
  /** Empty: not narrowed. */
  readonly scopes: readonly string[]
  /** The only project the token works in, or null for all. */
  readonly projectId: string | null
  /** ISO 8601, or null for never. */
  readonly expiresAt: string | null
}

export interface NewSession {
  readonly token: string
  readonly user: Pick<User, 'id' | 'name' | 'displayName' | 'email'>
  readonly expiresAt: string
}

export interface TokenRecord {
  readonly id: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly projectId: string | null
  readonly lastUsedAt: string | null
  readonly expiresAt: string | null
  readonly createdAt: string
}

/** Where a request came from, for the audit log. */
export interface Origin {
  /** The client's address behind the trusted proxies, or undefined when it is not known. */
  readonly address: string | undefined
  readonly userAgent: string | undefined
}

export interface Page { limit: number, offset: number }

export interface SessionRecord {
  readonly id: string
  readonly address: string | null
  readonly userAgent: string | null
  readonly createdAt: string
  readonly expiresAt: string
  /** The one that asks. */
  readonly isCurrent: boolean
}

export interface Reach {
  /** In every project there is and will be; `projectIds` is empty then. */
  readonly isEverywhere: boolean
  readonly projectIds: readonly string[]
}

/** What anyone who is signed in may know of a user. */
export interface Person {
  readonly id: string
  readonly name: string
  readonly displayName: string | null
  readonly isActive: boolean
}

/** A user's own sessions. A token with scopes or a project neither sees nor ends any. */
export interface Sessions {
  /** Newest first. */
  list (user: User, page: Page): Promise<{ items: SessionRecord[], total: number }>
  /** `NotFound` when it is not the user's own. */
  find (user: User, id: string): Promise<SessionRecord>
  end (user: User, id: string, origin: Origin): Promise<void>
  /** The one that asks, too. */
  endAll (user: User, origin: Origin): Promise<void>
}

export interface Contact {
  readonly id: string
  readonly name: string
  readonly displayName: string | null
  readonly email: string
}

/**
 * The named resource `access`: what someone may do, the audit log, signing in and out, API tokens, administration. The plugin `identity` is
 * its API; any plugin may declare it, and none asks the tables of users, roles or tokens itself.
 */
export interface Access {
  /**
   * Whether the user may, in the project or outside any: for the caller of a request narrowed to what their token may, for a user's id whatever
   * that user may. As it was a second ago at most.
   */
  can (user: User | ActingUser | string, permission: string, projectId?: string): Promise<boolean>
  /** `Forbidden` without the permission; `NotFound` for whoever holds nothing in the project. */
  require (user: User | ActingUser | string, permission: string, projectId?: string): Promise<void>
  /** All that `can` answers yes to. */
  permissionsOf (user: User | ActingUser | string, projectId?: string): Promise<ReadonlySet<string>>
  /**
   * Where the user holds the permission, for lists: everywhere, or in these projects. Narrowed for the caller of a request as in `can`. Always as
   * the database has it now, in one query.
   */
  projectsWith (user: User | ActingUser | string, permission: string): Promise<Reach>
  /** Who is behind these ids, by id, to name them: no id of nobody is among them. One query. */
  people (ids: Iterable<string>): Promise<ReadonlyMap<string, Person>>
  /**
   * The user for work that no request leads to, such as a job. `can` and the others answer for all that the user may when they are asked, narrowed by
   * no token. Undefined for an id of no active user.
   */
  asUser (userId: string): Promise<ActingUser | undefined>
  readonly audit: Audit
  readonly sessions: Sessions
  readonly users: Users
  readonly roles: Roles
  readonly delegations: Delegations
  /** Whether the caller of a request that goes on and on is still signed in as then. Asking is no use of the session. */
  isSignedIn (user: User): Promise<boolean>
  /** How to reach a user; undefined for one who is not active, and for nobody. Not for other users' eyes. */
  contact (userId: string): Promise<Contact | undefined>
  /**
   * `Unauthorized` for an unknown name, a wrong password and an inactive user alike, in the same time; `TooManyRequests` past 10 failures in
   * five minutes, counted by name and by address, and apart for an address the user has signed in from before.
   */
  login (input: { name: string, password: string }, origin: Origin): Promise<NewSession>
  /** Ends the session the user is signed in by; `BadRequest` for a caller who came with an API token. */
  logout (user: User, origin: Origin): Promise<void>
  /**
   * `token` is shown here and never again. `ValidationFailed` for a scope nobody knows, a project the caller may not know of or a life over 365
   * days; `Forbidden` for a scope that the caller's own token does not have, and for one that grants or reveals and that the caller does not hold
   * by a role; `TooManyRequests` past 20 an hour.
   */
  createToken (
    user: User, input: { name: string, scopes: string[], projectId?: string | undefined, expiresInDays: number }, origin: Origin
  ): Promise<TokenRecord & { token: string }>
  /** A token with scopes or a project sees itself only. */
  listTokens (user: User, page: Page): Promise<{ items: TokenRecord[], total: number }>
  /** `NotFound` when the token is not the user's own; `Forbidden` through a token with scopes or a project, but for itself. */
  revokeToken (user: User, id: string, origin: Origin): Promise<void>
  /** All of them, the one that asks, too. `Forbidden` through a token with scopes or a project. */
  revokeTokens (user: User, origin: Origin): Promise<void>
}
