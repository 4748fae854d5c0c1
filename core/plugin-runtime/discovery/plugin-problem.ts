// Describes all problems with plugins in one message, for the operator or author who can fix them.

import { isAbsolute, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Problem {
  /** The plugin's id, when it could be read. */
  readonly plugin?: string | undefined
  readonly file: string
  /** The problem, as a sentence. */
  readonly what: string
  /** The fix, as a sentence. */
  readonly mend: string
}

/** Contains every problem of every plugin, sorted by file. Nothing of any plugin has been applied. */
export class InvalidPlugins extends Error {
  readonly code = 'BULKHEAD_PLUGINS_INVALID'
  readonly problems: readonly Problem[]

  constructor (problems: readonly Problem[]) {
    const lines = problems.map(({ file, what, mend }) => `  ${showPath(file)}: ${what} ${mend}`).sort()
    super([problems.length === 1 ? 'One problem with the plugins:' : `${problems.length} problems with the plugins:`, ...lines].join('\n'))
    this.name = 'InvalidPlugins'
    this.problems = problems
  }
}

/** Returns a relative path where that is shorter to read: inside the folder in which the host was started. */
export function showPath (path: string): string {
  const below = relative(process.cwd(), path)
  return below === '' || below.startsWith('..') || isAbsolute(below) ? path : below
}

/** Returns the modules in an error's stack, innermost first, each with the generation that it was loaded for. */
export const modulesOf = ({ stack = '' }: Error): { path: string, line: number, generation: number }[] => stack.split('\n').flatMap(frame => {
  const found = placeInFrame(frame)
  if (found === undefined) return []
  const { place, line } = found
  return [{ path: pathOf(place), line: Number(line), generation: Number(/\?generation=(\d+)$/.exec(place)?.[1] ?? 1) }]
})

/**
 * Returns the module and line at the end of a stack line. A stack also contains the message, so the line may be long
 * and written by a caller.
 */
export function placeInFrame (frame: string): { place: string, line: string } | undefined {
  const at = frame.lastIndexOf('file://')
  const { place, line } = at === -1 ? {} : /^(?<place>.+):(?<line>\d+):\d+\)?$/.exec(frame.slice(at))?.groups ?? {}
  return place === undefined || line === undefined ? undefined : { place, line }
}

/** Returns the path of a module that a stack names, without its generation. */
export const pathOf = (place: string): string => place.startsWith('file:') ? fileURLToPath(place.split('?', 1)[0] ?? place) : place
