// From a plugin's folder as it is now to a generation that can be started: read, checked against the others, imported, migrated.

import { dirname } from 'node:path'
import { Conflict, type Clock } from '../../contract/index.ts'
import type { Candidate, Discovery } from '../discovery/discover.ts'
import { findPermissionClashes, type PermissionRules } from '../discovery/permission-clash.ts'
import { InvalidPlugins, type Problem } from '../discovery/plugin-problem.ts'
import { validatePlugins } from '../discovery/validate.ts'
import { loadDefinition, type LoadedPlugin } from './plugin-definition.ts'

export interface GenerationParts extends PermissionRules {
  readonly clock: Clock
  readonly importBudgetMs: number
  readonly corePermissions: readonly string[]
  /** Reads every folder of plugins. */
  discover (): Promise<Discovery>
  /** What is wrong with the plugin's settings. */
  findSettingProblems (plugin: LoadedPlugin): readonly string[]
  /** Brings the plugin's schema up to date. */
  migrate (candidate: Candidate): Promise<void>
  /** Brings the permissions of these plugins into the database. */
  declare (plugins: readonly LoadedPlugin[]): Promise<void>
}

/**
 * The plugin's folder as it is now, or undefined when it is not there; `InvalidPlugins` with all that is wrong with it. `known` are the plugins that
 * are here, this one too: as long as its folder is there, a manifest that cannot be read is no reason to take it for gone.
 */
export async function findCandidate (id: string, { discover }: GenerationParts, known: readonly Candidate[]): Promise<Candidate | undefined> {
  const { candidates, problems, skipped } = await discover()
  const own = candidates.filter(candidate => candidate.id === id)
  const [candidate] = own
  const others = known.filter(other => other.id !== id)
  const folder = known.find(other => other.id === id)?.folder
  const about = ({ plugin, file }: Problem): boolean => plugin === id || (folder !== undefined && plugin === undefined && dirname(file) === folder)
  const leftOut = skipped.find(skip => skip.id === id)
  if (candidate === undefined && leftOut !== undefined) throw new Conflict(`The plugin "${id}" is left out: ${leftOut.why}.`)
  const { problems: clashes } = validatePlugins({
    candidates: [...others, ...own], skipped, problems: problems.filter(about)
  })
  const found = [...problems, ...clashes].filter(about)
  if (found.length > 0) throw new InvalidPlugins(found)
  return candidate
}

/** Imports the code as the generation of this number and brings its schema up to date. Nothing of what others do has changed by then. */
export async function loadGeneration (
  candidate: Candidate, number: number, parts: GenerationParts, others: readonly LoadedPlugin[]
): Promise<LoadedPlugin> {
  const { clock, importBudgetMs } = parts
  const plugin = await loadDefinition(candidate, number, { clock, budgetMs: importBudgetMs })
  const problems = [
    ...findPermissionClashes([plugin], parts, others),
    ...parts.findSettingProblems(plugin).map(what => ({ plugin: candidate.id, file: candidate.entry, what, mend: 'Fix the setting, or its declaration.' }))
  ]
  if (problems.length > 0) throw new InvalidPlugins(problems)
  if (candidate.migrations !== undefined) await parts.migrate(candidate)
  return plugin
}
