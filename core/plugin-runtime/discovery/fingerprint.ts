// Tells whether the files of a folder have changed: their names, inode numbers, sizes and modification times.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Returns a fingerprint of all files below the folder. Packages inside it and names that begin with a dot are ignored. */
export function fingerprintOf (folder: string): string {
  return childrenOf(folder).map(child => {
    const stat = statSync(child, { throwIfNoEntry: false })
    if (stat === undefined) return ''
    return stat.isDirectory() ? fingerprintOf(child) : `${child} ${stat.ino} ${stat.size} ${stat.mtimeMs}`
  }).join('\n')
}

/** Returns the paths of what the folder holds, or nothing when it is gone. */
export function childrenOf (folder: string): string[] {
  try {
    return readdirSync(folder).filter(name => name !== 'node_modules' && !name.startsWith('.')).sort().map(name => join(folder, name))
  } catch (error) {
    // The file or folder was removed during the poll.
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}
