// Reads a plugin's folder as it is now, checks it against the other plugins, imports and migrates it: the result can be started.

import { dirname } from 'node:path'
import { Conflict, type Clock } from '../../contract/index.ts'
import type { Candidate, Discovery } from '../discovery/discover.ts'
import { findPermissionClashes, type PermissionRules } from '../discovery/permission-clash.ts'
import { InvalidPlugins, type Problem } from '../discovery/plugin-problem.ts'
import { validatePlugins } from '../discovery/validate.ts'
import { loadDefinition, type LoadedPlugin } from './plugin-definition.ts'

export interface GenerationParts extends PermissionRules {
  readonly budgetClock: Clock
  readonly importBudgetMs: number
  readonly corePermissions: readonly string[]
  /** Reads every folder of plugins. */
  discover (): Promise<Discovery>
  /** Returns one sentence for each problem with the plugin's settings. */
  findSettingProblems (plugin: LoadedPlugin): readonly string[]
  /** Brings the plugin's schema up to date. */
  migrate (candidate: Candidate): Promise<void>
  /** Brings the permissions of these plugins into the database. */
  declare (plugins: readonly LoadedPlugin[]): Promise<void>
}

/**
 * Reads the plugin's folder as it is now; returns undefined when it is gone. Throws `InvalidPlugins` with all its
 * problems, and `Conflict` when the settings leave the plugin out. `known` are the plugins that are present, including
 * this one: as long as its folder exists, an unreadable manifest does not mean that the plugin is gone.
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

/**
 * Imports the code as the generation with this number and brings its schema up to date. Up to this point nothing
 * changes for other plugins.
 */
export async function loadGeneration (
  candidate: Candidate, number: number, parts: GenerationParts, others: readonly LoadedPlugin[]
): Promise<LoadedPlugin> {
  const { budgetClock: clock, importBudgetMs } = parts
  const plugin = await loadDefinition(candidate, number, { clock, budgetMs: importBudgetMs })
  const problems = [
    ...findPermissionClashes([plugin], parts, others),
    ...parts.findSettingProblems(plugin).map(what => ({ plugin: candidate.id, file: candidate.entry, what, mend: 'Fix the setting, or its declaration.' }))
  ]
  if (problems.length > 0) throw new InvalidPlugins(problems)
  if (candidate.migrations !== undefined) await parts.migrate(candidate)
  return plugin
}
