// The records of the resource `access`. Each is one schema: the rows of the database are checked against it, answers may
// use it as `returns`, and its type is inferred. All times are in ISO 8601.

import { z } from 'zod'

const time = z.iso.datetime()

/** The part of a user that any signed-in user may know. */
export const Person = z.object({ id: z.uuid(), name: z.string(), displayName: z.string().nullable(), isActive: z.boolean() })
export type Person = Readonly<z.output<typeof Person>>

export const Contact = z.object({ id: z.uuid(), name: z.string(), displayName: z.string().nullable(), email: z.string() })
export type Contact = Readonly<z.output<typeof Contact>>

export const UserRecord = Contact.extend({ isActive: z.boolean(), createdAt: time, updatedAt: time })
export type UserRecord = Readonly<z.output<typeof UserRecord>>

/** The session by which a caller is signed in. */
export const Session = z.object({
  kind: z.literal('session'),
  id: z.uuid(),
  /** The end of the session. Each use extends it, up to 24 hours after signing in. */
  expiresAt: time
})
export type Session = Readonly<z.output<typeof Session>>

export const NewSession = z.object({ token: z.string(), user: Contact, expiresAt: time })
export type NewSession = Readonly<z.output<typeof NewSession>>

export const SessionRecord = z.object({
  id: z.uuid(),
  address: z.string().nullable(),
  userAgent: z.string().nullable(),
  createdAt: time,
  expiresAt: time,
  /** True for the session of the current request. */
  isCurrent: z.boolean()
})
export type SessionRecord = Readonly<z.output<typeof SessionRecord>>

export const TokenRecord = z.object({
  id: z.uuid(),
  name: z.string(),
  /** The permissions to which the token is narrowed. An empty list means that it is not narrowed. */
  scopes: z.array(z.string()).readonly(),
  /** The only project in which the token works, or null for all projects. */
  projectId: z.uuid().nullable(),
  lastUsedAt: time.nullable(),
  /** The expiry, or null when the token never expires. */
  expiresAt: time.nullable(),
  createdAt: time
})
export type TokenRecord = Readonly<z.output<typeof TokenRecord>>

/** The token by which a caller is signed in. */
export const Token = z.object({
  kind: z.literal('token'), ...TokenRecord.pick({ id: true, scopes: true, projectId: true, expiresAt: true }).shape
})
export type Token = Readonly<z.output<typeof Token>>

export const RoleRecord = z.object({
  id: z.uuid(),
  name: z.string(),
  description: z.string().nullable(),
  /** True for a system role. Changing or deleting it is a `Conflict`. */
  isSystem: z.boolean(),
  createdAt: time
})
export type RoleRecord = Readonly<z.output<typeof RoleRecord>>

export const PermissionRecord = z.object({
  name: z.string(),
  description: z.string().nullable(),
  /**
   * The id of the plugin that contributes the permission; `host` for the host's own. It is null when no plugin that
   * runs here contributes it.
   */
  plugin: z.string().nullable()
})
export type PermissionRecord = Readonly<z.output<typeof PermissionRecord>>

export const AssignmentRecord = z.object({
  id: z.uuid(),
  userId: z.uuid(),
  roleId: z.uuid(),
  roleName: z.string(),
  /** The project in which the role holds, or null for everywhere. */
  projectId: z.uuid().nullable(),
  grantedBy: z.uuid().nullable(),
  createdAt: time
})
export type AssignmentRecord = Readonly<z.output<typeof AssignmentRecord>>

export const DelegationRecord = z.object({
  id: z.uuid(),
  delegatorId: z.uuid(),
  delegatorName: z.string(),
  delegateId: z.uuid(),
  delegateName: z.string(),
  permission: z.string(),
  projectId: z.uuid().nullable(),
  expiresAt: time.nullable(),
  reason: z.string().nullable(),
  createdAt: time,
  revokedAt: time.nullable(),
  /**
   * True while the delegation is not revoked, has not expired, and the delegator still holds the permission there by a
   * role. Otherwise it grants nothing.
   */
  isEffective: z.boolean()
})
export type DelegationRecord = Readonly<z.output<typeof DelegationRecord>>

export const AuditRecord = z.object({
  id: z.uuid(),
  /** The id of the actor; `00000000-0000-0000-0000-000000000000` when the actor is not a user. */
  actorId: z.uuid(),
  /** The actor's name at the time of the action. */
  actorName: z.string(),
  action: z.string(),
  resource: z.string(),
  resourceId: z.uuid().nullable(),
  projectId: z.uuid().nullable(),
  detail: z.unknown(),
  address: z.string().nullable(),
  /**
   * The id of the plugin that wrote the entry, or whose call caused it. It is null for the host's own entries and for
   * entries of versions before 1.3.
   */
  plugin: z.string().nullable(),
  /** True when the plugin acted as the actor, without a request of the actor. */
  isByPlugin: z.boolean(),
  createdAt: time
})
export type AuditRecord = Readonly<z.output<typeof AuditRecord>>

/** The places where a user holds a permission. */
export const Reach = z.object({
  /** True when the permission holds in every current and future project; `projectIds` is then empty. */
  isEverywhere: z.boolean(),
  projectIds: z.array(z.uuid()).readonly()
})
export type Reach = Readonly<z.output<typeof Reach>>
