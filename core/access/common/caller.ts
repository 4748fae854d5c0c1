// Makes and recognises the user objects of the host: callers behind a session or a token, and users that a plugin acts as.
// They are recognised by object identity, never by their fields.

import type { ActingUser, User } from '../../contract/index.ts'
import { PermissionSet } from './permission-set.ts'

const callers = new WeakSet()
const actingUsers = new WeakSet()

/** The object given as a user is neither the user of a request nor one that `asUser` gave. */
export class UserNotRecognised extends Error {
  readonly code = 'BULKHEAD_USER_NOT_RECOGNISED'

  constructor (message: string) {
    super(message)
    this.name = 'UserNotRecognised'
  }
}

/** Makes the user object of a caller. It is deeply frozen: requests within a second share it, and its fields are trusted. */
export function createCaller ({ permissions, signedInBy, ...person }: User): User {
  const own = signedInBy.kind === 'token' ? { ...signedInBy, scopes: Object.freeze([...signedInBy.scopes]) } : { ...signedInBy }
  const user = Object.freeze({ ...person, permissions: sealed(permissions), signedInBy: Object.freeze(own) })
  callers.add(user)
  return user
}

export function createActingUser ({ permissions, actingPlugin, ...person }: ActingUser): ActingUser {
  const user = Object.freeze({ ...person, permissions: sealed(permissions), actingPlugin })
  actingUsers.add(user)
  return user
}

/** Accepts only the very object that the host made, not a copy, a proxy or an object that inherits from it. */
export const isCaller = (user: unknown): user is User => isObject(user) && callers.has(user)
export const isActingUser = (user: unknown): user is ActingUser => isObject(user) && actingUsers.has(user)

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

const sealed = (permissions: ReadonlySet<string>): PermissionSet =>
  permissions instanceof PermissionSet ? permissions : new PermissionSet(permissions)
