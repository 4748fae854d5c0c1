// Tells which plugin's folder has changed, once it has been quiet for a moment.

import { watch, type FSWatcher } from 'node:fs'
import { join, sep } from 'node:path'

/** An editor writes a file in several steps, and a build many files. */
const quietMs = 100

export interface WatchParts {
  /** Folders whose child folders are plugins. */
  readonly paths: readonly string[]
  /** Of one of those child folders; it may be gone, or no plugin at all. */
  onChange (folder: string): void
  onError (path: string, error: Error): void
}

/** Packages inside a plugin's folder and names that begin with a dot are not looked at. Call the result to end it. */
export function watchFolders ({ paths, onChange, onError }: WatchParts): () => void {
  const timers = new Map<string, NodeJS.Timeout>()
  const watchers: FSWatcher[] = paths.map(path => watch(path, { recursive: true }, (_event, name) => {
    const parts = name?.split(sep) ?? []
    const [child = ''] = parts
    if (child === '' || parts.some(part => part === 'node_modules' || part.startsWith('.'))) return
    const folder = join(path, child)
    clearTimeout(timers.get(folder))
    timers.set(folder, setTimeout(() => {
      timers.delete(folder)
      onChange(folder)
    }, quietMs))
  }).on('error', error => onError(path, error)))
  return () => {
    for (const watcher of watchers) watcher.close()
    for (const timer of timers.values()) clearTimeout(timer)
  }
}
