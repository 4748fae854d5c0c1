// Makes the handle on access for one plugin. The handle accepts only user objects that the host recognises,
// and the audit entries that its calls write name the plugin.

import type { Access, ActingUser, AuditEntry, Log, User } from '../contract/index.ts'
import { recordAudit, writeAs } from './audit/audit-log.ts'
import { createActingUser, isActingUser, isCaller, UserNotRecognised } from './common/caller.ts'

export type SharedAccess = Omit<Access, 'asUser'>

export interface PluginAccessDeps {
  /** The methods that all plugins share. */
  readonly access: SharedAccess
  permissionsOf (userId: string): Promise<ReadonlySet<string>>
  readonly log: Pick<Log, 'warn'>
  /**
   * Returns the id of the user whose request the running code serves; undefined outside a request.
   * Without this function, the handle does not check whose request is under way.
   */
  readonly findCallerId?: (() => string | undefined) | undefined
}

type Group = Readonly<Record<string, (...args: never[]) => unknown>>

/** `plugin` is undefined for the host's own handle. */
export function createPluginAccess ({ access, permissionsOf, log, findCallerId }: PluginAccessDeps, plugin: string | undefined): Access {
  const holder = plugin === undefined ? 'The host' : `Plugin "${plugin}"`
  const warned = new Set<string>()
  const warnOnce = (of: string, facts: object, text: string): void => {
    if (warned.has(of)) return
    warned.add(of)
    log.warn({ plugin, ...facts }, text)
  }

  const refuse = (method: string, given: unknown): never => {
    throw new UserNotRecognised(isActingUser(given)
      ? `${holder} called access.${method} as the user "${given.name}" from asUser: this needs the user of a request, because a plugin by itself administers nothing.`
      : `${holder} called access.${method} with ${given === null || given === undefined ? 'no user' : 'an object that is not the user of a request'}. ` +
        'Pass ctx.user itself and no copy of it; for work without a request take the user from access.asUser(id).')
  }

  /** Methods that only answer a question accept the id of a user, too. */
  const recognised = <T extends User | ActingUser | string>(method: string, user: T): T =>
    typeof user === 'string' || isCaller(user) || isActingUser(user) ? user : refuse(method, user)

  /** The first argument of every method of `group` is the user of a request. */
  const forCallers = <G extends object>(group: G, path: string): G =>
    Object.fromEntries(Object.entries(group as Group).map(([name, method]) => [name, async (user: unknown, ...rest: never[]) =>
      isCaller(user) ? write(() => method(user as never, ...rest), isKept(user, `${path}${name}`)) : refuse(`${path}${name}`, user)])) as G

  const write = <T>(work: () => T, isByPlugin = false): T => plugin === undefined ? work() : writeAs({ plugin, isByPlugin }, work)

  /** Returns true, and warns once, when the plugin passes the user of another request, which it must have stored. */
  const isKept = (user: User, method: string): boolean => {
    if (plugin === undefined || findCallerId === undefined || findCallerId() === user.id) return false
    warnOnce('kept', { method, user: user.name }, `plugin "${plugin}" called access.${method} as "${user.name}", whose request this is not; ` +
      'the audit log marks it as done by the plugin. Pass the ctx.user of the request under way: the next major version refuses others.')
    return true
  }

  const record: Access['audit']['record'] = async (tx, entry) => {
    if (plugin === undefined) return recordAudit(tx, entry)
    // `actor` is read only once: a getter could return another object the second time, which was never checked.
    const { actor } = entry
    const isByPlugin = actor !== undefined && (!isCaller(actor) || isKept(actor, 'audit.record'))
    if (actor !== undefined && !isCaller(actor) && !isActingUser(actor)) warnOfActor(entry)
    return recordAudit(tx, { ...entry, actor }, { plugin, isByPlugin })
  }

  const warnOfActor = ({ action }: AuditEntry): void => {
    warnOnce('actor', { action }, `plugin "${plugin ?? ''}" writes "${action}" into the audit log with an actor that is not the user of a request; ` +
      'the entry is marked as done by the plugin. Pass ctx.user itself, or the user from access.asUser(id): the next major version refuses others.')
  }

  const { can, require, permissionsOf: heldBy, projectsWith, people, contact, login, audit, sessions, users, roles, delegations, ...own } = access
  // The caller of `setPasswordByLink` presents the token of the link and is not signed in.
  const { setPasswordByLink, ...userAdministration } = users

  return {
    can: async (user, ...rest) => can(recognised('can', user), ...rest),
    require: async (user, ...rest) => require(recognised('require', user), ...rest),
    permissionsOf: async (user, ...rest) => heldBy(recognised('permissionsOf', user), ...rest),
    projectsWith: async (user, ...rest) => projectsWith(recognised('projectsWith', user), ...rest),
    people,
    contact,
    async asUser (userId) {
      const person = await contact(userId)
      if (person === undefined) return undefined
      return createActingUser({ ...person, permissions: await permissionsOf(person.id), actingPlugin: plugin ?? 'host' })
    },
    login: (...args) => write(() => login(...args)),
    audit: { record, ...forCallers({ find: audit.find }, 'audit.') },
    sessions: forCallers(sessions, 'sessions.'),
    users: { setPasswordByLink: (...args) => write(() => setPasswordByLink(...args)), ...forCallers(userAdministration, 'users.') },
    roles: forCallers(roles, 'roles.'),
    delegations: forCallers(delegations, 'delegations.'),
    ...forCallers(own, '')
  }
}
