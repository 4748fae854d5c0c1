// Reads a plugin's folder as it is now, checks it against the other plugins, imports and migrates it: the result can be started.

import { Conflict, type Clock } from '../../contract/index.ts'
import type { Candidate, Discovery } from '../discovery/discover.ts'
import { findPermissionClashes, type PermissionRules } from '../discovery/permission-clash.ts'
import { InvalidPlugins, showPath, type Problem } from '../discovery/plugin-problem.ts'
import { validatePlugins } from '../discovery/validate.ts'
import { hasChanged, loadDefinition, type LoadedPlugin } from './plugin-definition.ts'

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
 * Reads the plugin's folder as it is now. A broken folder gives a candidate with its problems. Returns undefined when
 * the folder is gone. Throws `InvalidPlugins` with the plugin's clashes, and `Conflict` when the settings leave it out.
 * `known` are the plugins that are present, including this one.
 */
export async function findCandidate (
  id: string, { discover }: GenerationParts, known: readonly Candidate[], isRunning = false
): Promise<Candidate | undefined> {
  const { candidates, broken, skipped } = await discover()
  const own = candidates.filter(candidate => candidate.id === id)
  const folder = known.find(other => other.id === id)?.folder
  const unfit = broken.find(other => other.folder === folder) ?? broken.find(other => other.id === id)
  // A manifest that cannot be read does not give the plugin another id.
  const candidate = own[0] ?? (unfit && { ...unfit, id, manifest: { ...unfit.manifest, id } })
  const leftOut = skipped.find(skip => skip.id === id)
  if (candidate === undefined && leftOut !== undefined) throw new Conflict(`The plugin "${id}" is left out: ${leftOut.why}.`)
  const others = known.filter(other => other.id !== id && other.problems === undefined)
  const { clashes, unmet } = validatePlugins({ candidates: [...others, ...own], broken, skipped })
  // A plugin that runs continues; one that does not is held until its needs are met.
  const found = [...clashes, ...isRunning ? unmet : []].filter(({ plugin }) => plugin === id)
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
  const problems = [...findPermissionClashes([plugin], parts, others), ...findSettingProblems(plugin, parts)]
  if (problems.length > 0) throw new InvalidPlugins(problems)
  await migrateAsRead(plugin, parts)
  return plugin
}

export class FolderChanged extends Error {
  readonly code = 'BULKHEAD_FOLDER_CHANGED'

  constructor ({ folder }: Candidate, what: string) {
    super(`${showPath(folder)} has changed ${what}; it is read again`)
    this.name = 'FolderChanged'
  }
}

/** Brings the schema up to date with the migrations that belong to this code. */
export async function migrateAsRead (plugin: LoadedPlugin, { migrate }: GenerationParts): Promise<void> {
  if (plugin.candidate.migrations === undefined) return
  if (hasChanged(plugin)) throw new FolderChanged(plugin.candidate, 'since its code was imported')
  await migrate(plugin.candidate)
}

/** The plugin cannot be started with these settings. */
export const findSettingProblems = (plugin: LoadedPlugin, parts: Pick<GenerationParts, 'findSettingProblems'>): Problem[] =>
  parts.findSettingProblems(plugin).map(what => ({ plugin: plugin.candidate.id, file: plugin.candidate.entry, what, mend: 'Fix the setting, or its declaration.' }))
