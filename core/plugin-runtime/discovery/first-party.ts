// Reserves ids and mounts for plugins of this repository, whether those are enabled or disabled.

import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import type { Manifest } from '../../contract/index.ts'
import type { Finding } from './manifest.ts'

/** Mounts for sign-in and access control: a plugin that had them could ask users for passwords. */
const signInMounts = ['auth', 'users', 'tokens', 'admin']
const signInPlugin = 'identity'

/**
 * `folder` is the plugin's own folder, a real path; `ownPlugins` holds the plugins of this repository. The id is
 * reserved too, because the audit log names it.
 */
export function findFirstPartyFindings ({ id, mounts }: Manifest, folder: string, ownPlugins: string): Finding[] {
  const reserved = mounts.filter(mount => signInMounts.includes(mount))
  const ownFolder = join(ownPlugins, signInPlugin)
  if ((id !== signInPlugin && reserved.length === 0) || realPathOf(ownFolder) === folder) return []
  const owner = `belongs to the plugin "${signInPlugin}" in ${ownFolder} alone, also when it is off`
  return [
    ...id === signInPlugin ? [[`The id "${id}" ${owner}.`, 'Choose another.'] as const] : [],
    ...reserved.map(mount => [`The mount "${mount}" ${owner}.`, 'Name another in "mounts".'] as const)
  ]
}

function realPathOf (folder: string): string | undefined {
  try {
    return realpathSync.native(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
