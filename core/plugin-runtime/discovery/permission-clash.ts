// Checks which plugin may declare which permission: each name once, and all permissions with the same first word in one plugin.

import type { LoadedPlugin } from '../loading/plugin-definition.ts'
import { showPath, type Problem } from './plugin-problem.ts'

export interface PermissionRules {
  /** The permissions of the host itself; no plugin may declare them again. */
  readonly corePermissions: Iterable<string>
  /**
   * Maps a first part of the host's permissions to the id of the plugin that may declare further permissions under it:
   * `{ project: 'projects' }`. Under the host's other first parts no plugin may declare any.
   */
  readonly permissionHomes?: Readonly<Record<string, string>>
}

interface Owner {
  /** Undefined for the host. */
  readonly plugin: string | undefined
  /** Names the owner in a sentence. */
  readonly words: string
}

const firstPartOf = (permission: string): string => permission.slice(0, permission.indexOf(':'))

/** Returns the problems with the permissions of `plugins`, given those of `others`, which are already present. */
export function findPermissionClashes (
  plugins: readonly LoadedPlugin[], { corePermissions, permissionHomes = {} }: PermissionRules, others: readonly LoadedPlugin[] = []
): Problem[] {
  const byName = new Map<string, Owner>()
  const byFirstPart = new Map(Object.entries(permissionHomes).map(([part, plugin]): [string, Owner] => [part, { plugin, words: `the plugin "${plugin}"` }]))
  const take = (name: string, owner: Owner): void => {
    byName.set(name, owner)
    if (!byFirstPart.has(firstPartOf(name))) byFirstPart.set(firstPartOf(name), owner)
  }
  for (const name of corePermissions) take(name, { plugin: undefined, words: 'the host' })
  for (const { candidate: { id }, definition } of others) {
    for (const name of Object.keys(definition.permissions ?? {})) take(name, { plugin: id, words: `"${id}"` })
  }
  return plugins.flatMap(({ candidate: { id, entry }, definition }) => Object.keys(definition.permissions ?? {}).flatMap(name => {
    const problem = (what: string): Problem[] => [{ plugin: id, file: entry, what, mend: 'Name it after a thing of this plugin.' }]
    const taken = byName.get(name)
    if (taken !== undefined) return problem(`The permission "${name}" is already declared by ${taken.words}.`)
    const owner = byFirstPart.get(firstPartOf(name))
    if (owner !== undefined && owner.plugin !== id) {
      return problem(`The permission "${name}" begins with "${firstPartOf(name)}", and those belong to ${owner.words}.`)
    }
    take(name, { plugin: id, words: `"${id}" (${showPath(entry)})` })
    return []
  }))
}
