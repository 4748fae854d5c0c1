// Finds the module that a plugin begins with, and checks that it is a file inside the plugin's folder.

import { realpathSync, statSync } from 'node:fs'
import { extname, join, sep } from 'node:path'
import type { Finding } from './manifest.ts'

const defaults = ['index.ts', 'index.js', 'index.mjs']
const extensions = new Set(['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'])
/** The conditions that Node meets for an import. */
const conditions = new Set(['node', 'import', 'module-sync', 'node-addons', 'default'])

/** Returns the entry's real path, or what is wrong with it. `folder` is a real path. */
export function findEntry (folder: string, content: Readonly<Record<string, unknown>>): string | Finding {
  const named = content.exports === undefined || content.exports === null ? content.main : targetOf(content.exports)
  if (named === undefined && (content.exports ?? undefined) === undefined) {
    const found = defaults.find(name => isFile(join(folder, name)))
    return found === undefined ? ['It has no entry.', `Write "exports", or add an ${defaults.slice(0, 2).join(' or an ')}.`] : check(folder, found)
  }
  return typeof named === 'string' ? check(folder, named) : ['"exports" gives nothing for ".".', 'Write "exports": "./index.js", say.']
}

function check (folder: string, name: string): string | Finding {
  const path = join(folder, name)
  const outside: Finding = [`The entry "${name}" leads out of the plugin's folder.`, 'Name a file inside it.']
  if (!path.startsWith(folder + sep)) return outside
  if (!isFile(path)) return [`The entry "${name}" is not there, or cannot be read.`, 'Add the file, or name another in "exports".']
  const real = realpathSync.native(path)
  if (!real.startsWith(folder + sep)) return outside
  if (!extensions.has(extname(real))) return [`The entry "${name}" is neither JavaScript nor TypeScript.`, 'Name a file that ends in .js or .ts.']
  if (real.includes(`${sep}node_modules${sep}`) && /\.[cm]?ts$/.test(real)) {
    return [`The entry "${name}" is TypeScript, and Node does not run TypeScript inside node_modules.`, 'Build the package to JavaScript and name that in "exports".']
  }
  return real
}

function isFile (path: string): boolean {
  try {
    return statSync(path).isFile()
  } catch {
    // A name with a zero byte, a link to itself or a closed folder is reported like a missing file.
    return false
  }
}

/**
 * Resolves `exports` as Node does when the package itself is imported: the first condition that holds and gives
 * something wins, in the order in which they are written. Null is something: no entry.
 */
function targetOf (exports: unknown): unknown {
  if (Array.isArray(exports)) return exports.map(targetOf).find(target => target !== undefined && target !== null)
  if (typeof exports !== 'object' || exports === null) return exports
  if (Object.hasOwn(exports, '.')) return targetOf((exports as Record<string, unknown>)['.'])
  for (const [condition, value] of Object.entries(exports)) {
    if (!conditions.has(condition)) continue
    const target = targetOf(value)
    if (target !== undefined) return target
  }
  return undefined
}
