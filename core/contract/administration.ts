// The administration part of the resource `access`: users, roles and their assignment, and delegated permissions. Every
// method checks the permissions of its caller.

import type { Origin, Page, User } from './access.ts'
import type { AssignmentRecord, Contact, DelegationRecord, PermissionRecord, RoleRecord, UserRecord } from './record.ts'

type Listed<Item> = Promise<{ items: Item[], total: number }>

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
  /** The current password. It is required with `password` when callers change their own. */
  readonly currentPassword?: string | undefined
  /** Also revokes the user's API tokens, which otherwise stay valid. It is allowed only together with `password`. */
  readonly revokeTokens?: boolean | undefined
  /** Activates or deactivates the user. It needs `admin:users`, as every change of another user does. */
  readonly isActive?: boolean | undefined
}

/** Manages users. Every method needs `admin:users`, except when users read or change themselves. */
export interface Users {
  /** Creates a user. Rejects with `Conflict` when another user has the name or the e-mail address. */
  create (actor: User, input: NewUser, origin: Origin): Promise<UserRecord>
  /** Lists the users by name. */
  list (actor: User, page: Page): Listed<UserRecord>
  find (actor: User, id: string): Promise<UserRecord>
  /**
   * Changes a user. A new password ends the user's other sessions and, with `revokeTokens`, revokes the API tokens too.
   * Rejects with `TooManyRequests` after 5 password changes in an hour.
   *
   * Rejects with `Forbidden` for the password, e-mail or activity of a user who holds any permission, in any place,
   * that the caller does not hold there by a role or by owning the project; use `createPasswordLink` for such users.
   * Also rejects with `Forbidden` when users change themselves through a token with scopes or a project, unless the
   * caller may manage users.
   */
  change (actor: User, id: string, change: UserChange, origin: Origin): Promise<UserRecord>
  /**
   * Deactivates a user. It ends the user's sessions, tokens and delegations to others. Rejects with `Forbidden` as in
   * `change`, and with `Conflict` for the last active admin.
   */
  deactivate (actor: User, id: string, origin: Origin): Promise<void>
  /**
   * Creates a token by which the user can set a new password once, within one hour. An earlier link becomes void, and
   * so does this one after any change of the user. Send the token only to the user's mailbox and show it to no other
   * person. Rejects with `Conflict` when the user is not active, and with `TooManyRequests` after 5 links in an hour.
   */
  createPasswordLink (actor: User, id: string, origin: Origin): Promise<PasswordLink>
  /**
   * Sets a new password. It needs only the token of a link, and ends all sessions of the user. Rejects with
   * `Unauthorized` for any invalid link, whatever the reason, and with `TooManyRequests` after 10 failures in five
   * minutes from one network.
   */
  setPasswordByLink (input: { token: string, password: string, revokeTokens?: boolean | undefined }, origin: Origin): Promise<void>
}

export interface PasswordLink {
  /** The value of the token. It is returned only here. */
  readonly token: string
  readonly expiresAt: string
  readonly contact: Contact
}

/**
 * Manages roles and their assignment. Every method needs `admin:roles`. A change takes effect for all users who have
 * the role, in every replica, within one second.
 */
export interface Roles {
  list (actor: User, page: Page): Listed<RoleRecord>
  create (actor: User, input: { name: string, description?: string | null | undefined }, origin: Origin): Promise<RoleRecord>
  change (
    actor: User, id: string, change: { name?: string | undefined, description?: string | null | undefined }, origin: Origin
  ): Promise<RoleRecord>
  remove (actor: User, id: string, origin: Origin): Promise<void>
  permissionsOf (actor: User, id: string): Listed<PermissionRecord>
  /**
   * Replaces the permissions of a role with these. Rejects with `ValidationFailed` for an unknown permission. Rejects
   * with `Forbidden` when it adds a permission that the caller does not hold everywhere by a role.
   */
  setPermissions (actor: User, id: string, names: readonly string[], origin: Origin): Listed<PermissionRecord>
  /** Lists all permissions. */
  permissions (actor: User, page: Page): Listed<PermissionRecord>
  assignmentsOf (actor: User, userId: string, page: Page): Listed<AssignmentRecord>
  /**
   * Assigns a role to a user, everywhere or in one project. Rejects with `Conflict` when the user already has it there.
   * Rejects with `Forbidden` for a role with a permission that the caller does not hold there by a role.
   */
  assign (actor: User, userId: string, role: { roleId: string, projectId?: string | undefined }, origin: Origin): Promise<AssignmentRecord>
  /** Removes a role from a user. Rejects with `Conflict` for the last active admin. */
  unassign (actor: User, userId: string, role: { roleId: string, projectId?: string | undefined }, origin: Origin): Promise<void>
}

export interface NewDelegation {
  readonly delegateId: string
  readonly permission: string
  /** The project in which the delegation holds. The default is everywhere. */
  readonly projectId?: string | undefined
  /** The expiry in ISO 8601. By default the delegation holds until it is revoked. */
  readonly expiresAt?: string | undefined
  readonly reason?: string | undefined
}

export interface Delegations {
  /**
   * Delegates a permission that the caller holds there by a role. Rejects with `BadRequest` for a delegation to
   * oneself, for a permission that the caller holds only by delegation, and for a permission that grants or reveals
   * (`admin:…`, `host:operate`, `host:approve`, `secret:reveal`). Rejects with `Forbidden` for a permission that the
   * caller does not hold, with `Conflict` when it is already delegated, and with `TooManyRequests` after 30 grants and
   * revocations in an hour.
   */
  grant (actor: User, input: NewDelegation, origin: Origin): Promise<DelegationRecord>
  /**
   * Lists the delegations from and to the caller, or all delegations for a caller with `admin:delegate`, newest first.
   * Through a token with scopes, callers see only those of the delegations from and to them whose permission is in the
   * scopes.
   */
  list (actor: User, page: Page): Listed<DelegationRecord>
  /**
   * Revokes a delegation: the caller's own, except through a token with scopes or a project, or any with
   * `admin:delegate`. Rejects with `Forbidden` for the user to whom it was delegated, and with `NotFound` for all other
   * users.
   */
  revoke (actor: User, id: string, origin: Origin): Promise<void>
}
