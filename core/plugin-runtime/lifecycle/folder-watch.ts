// Polls the plugin folders and reports each folder that has changed, once it has been quiet for a moment.

import { statSync } from 'node:fs'
import { createLoop } from '../../concurrency/loop.ts'
import type { Clock } from '../../contract/index.ts'
import { childrenOf, fingerprintOf } from '../discovery/fingerprint.ts'

/**
 * Polling interval in milliseconds. A poll of a hundred files costs 1 to 2 ms. A file watcher instead would lose a file
 * that is replaced.
 */
const lookEveryMs = 250

export interface WatchParts {
  /** Folders whose child folders are plugins. */
  readonly paths: readonly string[]
  readonly clock: Clock
  /** Called with the child folder that changed; it may be gone, or may not be a plugin. */
  onChange (folder: string): void
}

/**
 * Starts the watch. Packages inside a plugin's folder and names that begin with a dot are ignored. The returned
 * function ends the watch.
 */
export function watchFolders ({ paths, clock, onChange }: WatchParts): () => Promise<void> {
  let told = readAll(paths)
  let before = told
  const look = (): void => {
    const now = readAll(paths)
    for (const folder of new Set([...told.keys(), ...now.keys()])) {
      // An editor writes a file in several steps, and a build writes many files. A folder is quiet when two polls in a
      // row find the same.
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
  const loop = createLoop({ clock, pauseMs: lookEveryMs, step: look })
  loop.begin()
  return loop.end
}

/** Returns a fingerprint of each plugin folder's files: their names, inode numbers, sizes and modification times. */
const readAll = (paths: readonly string[]): Map<string, string> =>
  new Map(paths.flatMap(path => childrenOf(path).filter(child => isFolder(child)).map(child => [child, fingerprintOf(child)] as const)))

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
