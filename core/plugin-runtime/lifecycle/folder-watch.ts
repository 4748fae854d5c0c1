// Tells which plugin's folder has changed, once it has been quiet for a moment.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../contract/index.ts'

/** A look at a hundred files costs a millisecond or two. Watching them instead loses whatever replaces a file. */
const lookEveryMs = 250

export interface WatchParts {
  /** Folders whose child folders are plugins. */
  readonly paths: readonly string[]
  readonly clock: Clock
  /** Of one of those child folders; it may be gone, or no plugin at all. */
  onChange (folder: string): void
}

/** Packages inside a plugin's folder and names that begin with a dot are not looked at. The result ends it. */
export function watchFolders ({ paths, clock, onChange }: WatchParts): () => Promise<void> {
  const ending = new AbortController()
  let told = readAll(paths)
  let before = told
  const watch = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(lookEveryMs, ending.signal).catch(() => { /* The end. */ })
      if (ending.signal.aborted) return
      const now = readAll(paths)
      for (const folder of new Set([...told.keys(), ...now.keys()])) {
        // An editor writes a file in several steps, and a build many files: the same at two looks is quiet.
        if (now.get(folder) === told.get(folder) || now.get(folder) !== before.get(folder)) continue
        const next = new Map(told)
        const print = now.get(folder)
        if (print === undefined) next.delete(folder)
        else next.set(folder, print)
        told = next
        onChange(folder)
      }
      before = now
    }
  }
  const watching = watch()
  return async () => {
    ending.abort()
    await watching
  }
}

/** For each folder of a plugin what its files are now: their names, sizes and times, and which they are. */
const readAll = (paths: readonly string[]): Map<string, string> =>
  new Map(paths.flatMap(path => childrenOf(path).filter(child => isFolder(child)).map(child => [child, printOf(child)] as const)))

function printOf (folder: string): string {
  return childrenOf(folder).map(child => {
    const stat = statSync(child, { throwIfNoEntry: false })
    if (stat === undefined) return ''
    return stat.isDirectory() ? printOf(child) : `${child} ${stat.ino} ${stat.size} ${stat.mtimeMs}`
  }).join('\n')
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

function childrenOf (folder: string): string[] {
  try {
    return readdirSync(folder).filter(name => name !== 'node_modules' && !name.startsWith('.')).sort().map(name => join(folder, name))
  } catch (error) {
    // It went while it was looked at.
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}
