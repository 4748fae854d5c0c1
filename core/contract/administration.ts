// Administration: users, roles and who has them, and permissions lent to others. Every method checks what its caller may do.

import type { Contact, Origin, Page, User } from './access.ts'

type Listed<Item> = Promise<{ items: Item[], total: number }>

export interface UserRecord {
  readonly id: string
  readonly name: string
  readonly displayName: string | null
  readonly email: string
  readonly isActive: boolean
  readonly createdAt: string
  readonly updatedAt: string
}

export interface NewUser {
  readonly name: string
  readonly email: string
  readonly password: string
  readonly displayName?: string | null | undefined
}

export interface UserChange {
  readonly name?: string | undefined
  readonly displayName?: string | null | undefined
  readonly email?: string | undefined
  readonly password?: string | undefined
  /** Goes with `password` when callers change their own. */
  readonly currentPassword?: string | undefined
  /** Goes with `password`: the user's API tokens, which otherwise go on working, are revoked with it. */
  readonly revokeTokens?: boolean | undefined
  /** Needs `admin:users`, as does everything about another user. */
  readonly isActive?: boolean | undefined
}

/** Needs `admin:users`, but for what users see and change of themselves. */
export interface Users {
  /** `Conflict` for a name or an e-mail address that someone has. */
  create (actor: User, input: NewUser, origin: Origin): Promise<UserRecord>
  /** By name. */
  list (actor: User, page: Page): Listed<UserRecord>
  find (actor: User, id: string): Promise<UserRecord>
  /**
   * A new password ends the user's other sessions, and with `revokeTokens` the API tokens, too; `TooManyRequests` past 5 an hour. `Forbidden` for
   * the password, e-mail or activity of a user who holds anything, anywhere, that the caller does not hold there by a role or by owning the
   * project: `createPasswordLink` is for them. `Forbidden`, too, through a token with scopes, unless the caller may manage users.
   */
  change (actor: User, id: string, change: UserChange, origin: Origin): Promise<UserRecord>
  /** Ends the user's sessions, tokens and what they delegate. `Forbidden` as in `change`; `Conflict` for the last active admin. */
  deactivate (actor: User, id: string, origin: Origin): Promise<void>
  /**
   * A token by which the user may set a new password once, within an hour; a link made before is void, and so is this one after any change of the
   * user. It is for the user's mailbox and for no one else's eyes. `Conflict` when the user is not active; `TooManyRequests` past 5 an hour.
   */
  createPasswordLink (actor: User, id: string, origin: Origin): Promise<PasswordLink>
  /**
   * Needs the token of a link and nothing else; ends all sessions of the user. `Unauthorized` for any link that is not good, whatever the reason;
   * `TooManyRequests` past 10 failures in five minutes from one network.
   */
  setPasswordByLink (input: { token: string, password: string, revokeTokens?: boolean | undefined }, origin: Origin): Promise<void>
}

export interface PasswordLink {
  /** Shown here and never again. */
  readonly token: string
  readonly expiresAt: string
  readonly contact: Contact
}

export interface RoleRecord {
  readonly id: string
  readonly name: string
  readonly description: string | null
  /** Neither changed nor deleted: `Conflict`. */
  readonly isSystem: boolean
  readonly createdAt: string
}

export interface PermissionRecord {
  readonly name: string
  readonly description: string | null
  /** The id of the plugin that contributes it; `host` for the host's own; null when nothing that runs here does. */
  readonly plugin: string | null
}

export interface AssignmentRecord {
  readonly id: string
  readonly userId: string
  readonly roleId: string
  readonly roleName: string
  /** Null: everywhere. */
  readonly projectId: string | null
  readonly grantedBy: string | null
  readonly createdAt: string
}

/** Needs `admin:roles`. What changes counts for whoever has the role within a second, everywhere. */
export interface Roles {
  list (actor: User, page: Page): Listed<RoleRecord>
  create (actor: User, input: { name: string, description?: string | null | undefined }, origin: Origin): Promise<RoleRecord>
  change (
    actor: User, id: string, change: { name?: string | undefined, description?: string | null | undefined }, origin: Origin
  ): Promise<RoleRecord>
  remove (actor: User, id: string, origin: Origin): Promise<void>
  permissionsOf (actor: User, id: string): Listed<PermissionRecord>
  /**
   * From then on it has these and no others. `ValidationFailed` for one that nobody knows; `Forbidden` to add one that the caller does not hold
   * everywhere by a role.
   */
  setPermissions (actor: User, id: string, names: readonly string[], origin: Origin): Listed<PermissionRecord>
  /** Every permission there is. */
  permissions (actor: User, page: Page): Listed<PermissionRecord>
  assignmentsOf (actor: User, userId: string, page: Page): Listed<AssignmentRecord>
  /**
   * Everywhere, or in one project. `Conflict` when it is so already; `Forbidden` for a role with a permission that the caller does not hold there by
   * a role.
   */
  assign (actor: User, userId: string, role: { roleId: string, projectId?: string | undefined }, origin: Origin): Promise<AssignmentRecord>
  /** `Conflict` for the last active admin. */
  unassign (actor: User, userId: string, role: { roleId: string, projectId?: string | undefined }, origin: Origin): Promise<void>
}

export interface NewDelegation {
  readonly delegateId: string
  readonly permission: string
  /** Everywhere unless said. */
  readonly projectId?: string | undefined
  /** ISO 8601; until revoked unless said. */
  readonly expiresAt?: string | undefined
  readonly reason?: string | undefined
}

export interface DelegationRecord {
  readonly id: string
  readonly delegatorId: string
  readonly delegatorName: string
  readonly delegateId: string
  readonly delegateName: string
  readonly permission: string
  readonly projectId: string | null
  readonly expiresAt: string | null
  readonly reason: string | null
  readonly createdAt: string
  readonly revokedAt: string | null
  /** Not revoked, not past its expiry, and the delegator still holds the permission there by a role. Without that it lends nothing. */
  readonly isEffective: boolean
}

export interface Delegations {
  /**
   * Lends what the caller holds there by a role. `BadRequest` to oneself, for what the caller holds only because someone lent it, and for what
   * grants or reveals (`admin:…`, `host:operate`, `host:approve`, `secret:reveal`); `Forbidden` for what the caller does not hold; `Conflict` when it
   * is lent already; `TooManyRequests` past 30 granted and revoked within an hour.
   */
  grant (actor: User, input: NewDelegation, origin: Origin): Promise<DelegationRecord>
  /** Those from and to the caller; all of them with `admin:delegate`. Newest first. */
  list (actor: User, page: Page): Listed<DelegationRecord>
  /**
   * One's own, but not through a token with scopes, or anyone's with `admin:delegate`. `Forbidden` for whoever it was lent to, `NotFound` for others.
   */
  revoke (actor: User, id: string, origin: Origin): Promise<void>
}
