// The resource `access`: who the caller is and what the caller may do. People and agents are the same kind of user.

import type { Delegations, Roles, Users } from './administration.ts'
import type { Audit } from './audit.ts'
import type { Contact, NewSession, Person, Reach, Session, SessionRecord, Token, TokenRecord } from './record.ts'

/**
 * The caller of a request. It is immutable and recognized by identity: `access` accepts the object that the host made
 * and refuses a copy of it (`BULKHEAD_USER_NOT_RECOGNISED`).
 */
export interface User {
  readonly id: string
  readonly name: string
  readonly displayName: string | null
  readonly email: string
  /** The effective permissions outside any project, already narrowed by a token's scopes. */
  readonly permissions: ReadonlySet<string>
  readonly signedInBy: Session | Token
}

/**
 * A user that a plugin acts as without a request of that user, made by `access.asUser`. A plugin can check its
 * permissions, pass it to services that accept it, and use it as an actor in the audit log, which marks the entry as
 * made by the plugin. It cannot administer anything: no tokens, sessions, users, roles or delegations.
 */
export interface ActingUser extends Pick<User, 'id' | 'name' | 'displayName' | 'email' | 'permissions'> {
  /** The id of the plugin that acts as the user. */
  readonly actingPlugin: string
}

/** The origin of a request, for the audit log. */
export interface Origin {
  /** The client's address as the trusted proxies report it, or undefined when it is not known. */
  readonly address: string | undefined
  readonly userAgent: string | undefined
}

export interface Page { limit: number, offset: number }

/** Manages a user's own sessions. Through a token with scopes or a project, every method rejects with `Forbidden`. */
export interface Sessions {
  /** Lists the sessions, newest first. */
  list (user: User, page: Page): Promise<{ items: SessionRecord[], total: number }>
  /** Finds one session. Rejects with `NotFound` when it is not the user's own. */
  find (user: User, id: string): Promise<SessionRecord>
  end (user: User, id: string, origin: Origin): Promise<void>
  /** Ends all sessions, including the current one. */
  endAll (user: User, origin: Origin): Promise<void>
}

/**
 * The named resource `access`. It covers permission checks, the audit log, signing in and out, API tokens, and
 * administration. The plugin `identity` is its HTTP API. Any plugin may declare the resource; no plugin queries the
 * tables of users, roles or tokens itself.
 */
export interface Access {
  /**
   * Tells whether the user holds the permission, in the project or outside any project. For the caller of a request,
   * the answer is narrowed to what the caller's token may do. For a user's id or an acting user, it covers everything
   * that the user may do. The answer is at most one second old.
   */
  can (user: User | ActingUser | string, permission: string, projectId?: string): Promise<boolean>
  /**
   * Like `can`, but rejects: with `Forbidden` when the permission is missing, and with `NotFound` when the user holds
   * nothing in the project.
   */
  require (user: User | ActingUser | string, permission: string, projectId?: string): Promise<void>
  /** Resolves with all permissions for which `can` answers true. */
  permissionsOf (user: User | ActingUser | string, projectId?: string): Promise<ReadonlySet<string>>
  /**
   * Resolves with the places where the user holds the permission, for lists: everywhere, or in these projects. For the
   * caller of a request it is narrowed as in `can`. It always reads the current state of the database, in one query.
   */
  projectsWith (user: User | ActingUser | string, permission: string): Promise<Reach>
  /** Finds the users of these ids, by id, to show their names. Ids of no user are left out. It makes one query. */
  people (ids: Iterable<string>): Promise<ReadonlyMap<string, Person>>
  /**
   * Resolves with the user for work that no request causes, such as a job. `can` and the other checks answer for
   * everything that the user may do at the time of the check; no token narrows it. Resolves with undefined when the id
   * is not that of an active user.
   */
  asUser (userId: string): Promise<ActingUser | undefined>
  readonly audit: Audit
  readonly sessions: Sessions
  readonly users: Users
  readonly roles: Roles
  readonly delegations: Delegations
  /**
   * Tells whether the caller of a long-lived request is still signed in by the same session or token. The check does
   * not count as a use of the session.
   */
  isSignedIn (user: User): Promise<boolean>
  /** Resolves with the contact data of an active user; undefined for any other id. Do not show it to other users. */
  contact (userId: string): Promise<Contact | undefined>
  /**
   * Signs a user in. Rejects with `Unauthorized` for an unknown name, a wrong password and an inactive user alike, in
   * the same time. Rejects with `TooManyRequests` after 10 failures in five minutes. These are counted by name and by
   * address, and separately for an address from which the user has signed in before.
   */
  login (input: { name: string, password: string }, origin: Origin): Promise<NewSession>
  /** Ends the session by which the user is signed in. Rejects with `BadRequest` for a caller who used an API token. */
  logout (user: User, origin: Origin): Promise<void>
  /**
   * Creates an API token. The value `token` is returned only here. Rejects with `ValidationFailed` for an unknown
   * scope, a project that the caller may not know of, or a lifetime over 365 days. Rejects with `Forbidden` for a scope
   * that the caller's own token does not have, and for a scope that grants or reveals and that the caller does not hold
   * by a role. Rejects with `TooManyRequests` after 20 tokens in an hour.
   */
  createToken (
    user: User, input: { name: string, scopes: string[], projectId?: string | undefined, expiresInDays: number }, origin: Origin
  ): Promise<TokenRecord & { token: string }>
  /** Lists the user's tokens. Through a token with scopes or a project, it lists only that token. */
  listTokens (user: User, page: Page): Promise<{ items: TokenRecord[], total: number }>
  /**
   * Revokes a token. Rejects with `NotFound` when the token is not the user's own. Rejects with `Forbidden` through a
   * token with scopes or a project, unless the token revokes itself.
   */
  revokeToken (user: User, id: string, origin: Origin): Promise<void>
  /**
   * Revokes all tokens of the user, including the current one. Rejects with `Forbidden` through a token with scopes or
   * a project.
   */
  revokeTokens (user: User, origin: Origin): Promise<void>
}
