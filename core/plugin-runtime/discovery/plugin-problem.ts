// What is wrong with the plugins, as one message for the person who can mend it.

import { isAbsolute, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Problem {
  /** The plugin's id, where one could be read. */
  readonly plugin?: string | undefined
  readonly file: string
  /** What is wrong, as a sentence. */
  readonly what: string
  /** What to do about it, as a sentence. */
  readonly mend: string
}

/** Every problem of every plugin, by file; nothing of any plugin has been applied. */
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

/** Relative where that is shorter to read: inside the folder the host was started in. */
export function showPath (path: string): string {
  const below = relative(process.cwd(), path)
  return below === '' || below.startsWith('..') || isAbsolute(below) ? path : below
}

/** The modules in an error's stack, the innermost first, each with the generation it was loaded for. */
export const modulesOf = ({ stack = '' }: Error): { path: string, line: number, generation: number }[] => stack.split('\n').flatMap(frame => {
  const found = placeInFrame(frame)
  if (found === undefined) return []
  const { place, line } = found
  return [{ path: pathOf(place), line: Number(line), generation: Number(/\?generation=(\d+)$/.exec(place)?.[1] ?? 1) }]
})

/** The module and line that a line of a stack ends with. The message stands in a stack, too, so the line may be long and written by a caller. */
export function placeInFrame (frame: string): { place: string, line: string } | undefined {
  const at = frame.lastIndexOf('file://')
  const { place, line } = at === -1 ? {} : /^(?<place>.+):(?<line>\d+):\d+\)?$/.exec(frame.slice(at))?.groups ?? {}
  return place === undefined || line === undefined ? undefined : { place, line }
}

/** The path of a module as a stack names it, whichever generation it is of. */
export const pathOf = (place: string): string => place.startsWith('file:') ? fileURLToPath(place.split('?', 1)[0] ?? place) : place
