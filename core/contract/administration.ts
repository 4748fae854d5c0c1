// Administration: users, roles and who has them, and permissions lent to others. Every method checks what its caller may do.

import type { Origin, Page, User } from './access.ts'

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
   * A new password ends the user's other sessions; `TooManyRequests` past 5 an hour; `Forbidden` for that of someone who holds an `admin:…`
   * permission that the caller does not. `Forbidden`, too, through a token with scopes, unless the caller may manage users.
   */
  change (actor: User, id: string, change: UserChange, origin: Origin): Promise<UserRecord>
  /** Ends the user's sessions and revokes the tokens. `Conflict` for the last active admin. */
  deactivate (actor: User, id: string, origin: Origin): Promise<void>
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
  /** From then on it has these and no others. `ValidationFailed` for one that nobody knows. */
  setPermissions (actor: User, id: string, names: readonly string[], origin: Origin): Listed<PermissionRecord>
  /** Every permission there is. */
  permissions (actor: User, page: Page): Listed<PermissionRecord>
  assignmentsOf (actor: User, userId: string, page: Page): Listed<AssignmentRecord>
  /** Everywhere, or in one project. `Conflict` when it is so already. */
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
   * Lends what the caller holds there by a role. `BadRequest` to oneself, and for what the caller holds only because someone lent it;
   * `Forbidden` for what the caller does not hold; `Conflict` when it is lent already.
   */
  grant (actor: User, input: NewDelegation, origin: Origin): Promise<DelegationRecord>
  /** Those from and to the caller; all of them with `admin:delegate`. Newest first. */
  list (actor: User, page: Page): Listed<DelegationRecord>
  /** One's own, or anyone's with `admin:delegate`. `Forbidden` for whoever it was lent to, `NotFound` for others. */
  revoke (actor: User, id: string, origin: Origin): Promise<void>
}
