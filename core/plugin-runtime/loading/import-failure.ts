// Explains where and why the code of a plugin could not be imported, and how to fix it.

import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { join, sep } from 'node:path'
import { promisify } from 'node:util'
import { asError, isError } from '../../contract/thrown.ts'
import type { Candidate } from '../discovery/discover.ts'
import { pathOf, placeInFrame, showPath, type Problem } from '../discovery/plugin-problem.ts'

export class PluginImportFailed extends Error {
  readonly code = 'BULKHEAD_PLUGIN_IMPORT_FAILED'
  readonly problems: readonly Problem[]

  constructor (problem: Problem, cause: unknown) {
    super(`Plugin "${problem.plugin ?? ''}" could not be imported: ${showPath(problem.file)}: ${problem.what} ${problem.mend}`, { cause })
    this.name = 'PluginImportFailed'
    this.problems = [problem]
  }
}

export class ImportOverdue extends Error {
  readonly code = 'BULKHEAD_IMPORT_OVERDUE'

  constructor (budgetMs: number) {
    super(`It was not imported within ${budgetMs} ms`)
    this.name = 'ImportOverdue'
  }
}

const mends: Record<string, string> = {
  ERR_INVALID_TYPESCRIPT_SYNTAX: 'Fix the syntax there.',
  ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX: 'Types are only stripped, so write it without enum, namespace, parameter property or decorator.',
  ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING: 'Build the package to JavaScript: Node does not run TypeScript inside node_modules.',
  BULKHEAD_HOST_IMPORTED: 'Import from "bulkhead", which has all that a plugin may use; if something is missing there, ask for it.',
  BULKHEAD_IMPORT_OVERDUE: 'A top-level await holds it up; move that work into "start".'
}

export async function explainImportFailure (candidate: Candidate, value: unknown): Promise<PluginImportFailed> {
  const { id: plugin, entry } = candidate
  const thrown = asError(value)
  const fail = (file: string | undefined, what: string, mend: string): PluginImportFailed =>
    new PluginImportFailed({ plugin, file: file ?? entry, what: what.endsWith('.') ? what : `${what}.`, mend }, thrown)
  if (!isError(value)) return fail(undefined, `It ${thrown.message}`, 'Throw an Error, or do not throw outside "start".')

  const code = 'code' in thrown ? String(thrown.code) : ''
  const message = firstLine(thrown.message)
  if (mends[code] !== undefined) return fail(placeOf(thrown, candidate), message, mends[code])
  if (code === 'ERR_MODULE_NOT_FOUND') {
    const at = message.lastIndexOf(importedFrom)
    const from = at === -1 ? undefined : message.slice(at + importedFrom.length)
    const mend = message.startsWith('Cannot find package')
      ? 'Add it to "dependencies" of the plugin and install it there.'
      : 'Add the file, or fix the import; its ending is written out, as in "./model.ts".'
    return fail(from, at === -1 ? message : message.slice(0, at), mend)
  }
  if (message.includes('does not provide an export named')) {
    return fail(placeOf(thrown, candidate), message, 'Fix the import; what is only a type is imported with "import type".')
  }
  if (thrown instanceof SyntaxError) {
    const place = placeOf(thrown, candidate) ?? await findSyntaxError(candidate)
    return fail(place, message, 'Fix the syntax there.')
  }
  return fail(placeOf(thrown, candidate), `It throws ${thrown.name}: ${message}`, 'What stands outside "start" runs when the plugin is imported: fix it, or move it into "start".')
}

const importedFrom = ' imported from '

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? ''

/**
 * Finds the place of the error. The parser writes it above the stack; for all other errors it is in the plugin's first
 * stack frame.
 */
function placeOf ({ stack = '' }: Error, { folder }: Candidate): string | undefined {
  const above = /^(?<place>(?:file:\/\/)?\/.+):(?<line>\d+)$/.exec(firstLine(stack))?.groups
  const frame = stack.split('\n').map(placeInFrame).find(found => found !== undefined && pathOf(found.place).startsWith(folder + sep))
  const found = above ?? frame
  return found?.place === undefined ? undefined : `${pathOf(found.place)}:${found.line}`
}

const checkBudgetMs = 5_000
const filesCheckedMax = 50

/**
 * Finds the file with a syntax error. For plain JavaScript, Node does not say which file it could not parse, so each
 * file is checked.
 */
async function findSyntaxError ({ folder, entry }: Candidate): Promise<string | undefined> {
  const others = globSync('**/*.{js,mjs,cjs}', { cwd: folder, exclude: ['**/node_modules/**'] }).map(name => join(folder, name))
  for (const file of new Set([entry, ...others.slice(0, filesCheckedMax)])) {
    try {
      await promisify(execFile)(process.execPath, ['--check', file], { timeout: checkBudgetMs })
    } catch (error) {
      const place = firstLine((error as { stderr?: string }).stderr ?? '')
      if (/:\d+$/.test(place)) return pathWithLine(place)
    }
  }
  return undefined
}

const pathWithLine = (place: string): string => place.replace(/^(?<file>.+):(?<line>\d+)$/, (_, file: string, line: string) => `${pathOf(file)}:${line}`)
