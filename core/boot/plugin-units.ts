// The plugins, from their folders to units wired to the rooms that serve them.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidSettings } from '../../config/schema.ts'
import { corePermissions } from '../access/index.ts'
import type { Log } from '../contract/index.ts'
import { createPluginUnits, discoverPlugins, InvalidPlugins, loadDefinitions, validatePlugins, type Candidate } from '../host/index.ts'
import { findRouteProblems } from '../http/index.ts'
import type { Change, UnitDefinition } from '../kernel/index.ts'
import type { Opened, UnitParts } from './unit.ts'

/** Finds, checks and imports every plugin; nothing of them has run beside their modules. All that is wrong is said at once. */
export async function readPlugins ({ loaded, opened, log, clock, root }: Pick<UnitParts, 'loaded' | 'opened' | 'log' | 'clock' | 'root'>): Promise<void> {
  const { plugins, environment, budgets } = loaded.settings
  const { version: hostVersion } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
  const discovery = await discoverPlugins({ ...plugins, production: environment === 'production', hostVersion, packagesFrom: root })
  for (const { folder, why } of discovery.skipped) log.info({ folder }, `left out: ${why}`)
  const validation = validatePlugins(discovery)
  for (const notice of validation.notices) log.info(notice)
  const definitions = await loadDefinitions(discovery.candidates, {
    clock, budgetMs: budgets.pluginStartMs, corePermissions: corePermissions.map(({ name }) => name)
  })
  const problems = [...discovery.problems, ...validation.problems, ...definitions.problems]
  if (problems.length > 0) throw new InvalidPlugins(problems)
  const known = new Set([...discovery.candidates.map(({ id }) => id), ...discovery.skipped.map(({ id }) => id)])
  const wrong = [
    ...loaded.configured.filter(id => !known.has(id)).map(id => `plugins.config.${id}: no plugin has this id; mend it, or take the section out`),
    ...definitions.plugins.flatMap(({ candidate: { id }, definition }) => loaded.pluginSettings({ id, fields: definition.config ?? {} }).problems)
  ]
  if (wrong.length > 0) throw new InvalidSettings(wrong)
  opened.validation = validation
  opened.plugins = definitions.plugins
}

export function createPlugins ({ loaded, opened, log, clock }: UnitParts): UnitDefinition[] {
  const { budgets } = loaded.settings
  const configs = new Map(opened.plugins.map(({ candidate: { id }, definition }) =>
    [id, loaded.pluginSettings({ id, fields: definition.config ?? {} }).values as Readonly<Record<string, unknown>>]))
  const units = createPluginUnits({
    plugins: opened.plugins,
    optional: opened.validation.optional,
    corePermissions: corePermissions.map(({ name }) => name),
    startBudgetMs: budgets.pluginStartMs,
    stopBudgetMs: budgets.stopMs,
    configOf: id => configs.get(id) ?? {},
    logOf: id => log.child({ plugin: id })
  }, {
    container: opened.container,
    clock,
    services: new Map(),
    checkRoutes: findRouteProblems,
    mount: plugin => opened.http.mount(plugin),
    registerTasks: plugin => opened.tasks.register(plugin)
  })
  const checks = new Map(opened.plugins.map(({ candidate: { id }, definition }) => [id, definition.check]))
  return units.map(unit => ({
    ...unit,
    needs: ['container', 'permissions', 'tasks', ...unit.needs],
    recover: recovery,
    start: async context => {
      await unit.start(context)
      const ask = checks.get(unit.id)
      if (ask === undefined) return
      opened.checks.set(unit.id, { ask, isRequired: unit.required })
      context.undo('check no more', () => { opened.checks.delete(unit.id) })
    }
  }))
}

/** A plugin that failed is tried again, and those that need it start when it runs. */
const recovery = { firstMs: 1_000, maxMs: 60_000, resetAfterMs: 120_000 }

/** Keeps the paths of a plugin that did not start answering: 503, until it is mounted. */
export function holdPaths ({ unit, to, reason = '' }: Change, opened: Opened, log: Log): void {
  if (to !== 'quarantined' && to !== 'held') return
  const plugin = opened.plugins.find(({ candidate }) => candidate.id === unit)
  if (plugin === undefined) return
  log.error({ plugin: unit, state: to }, `plugin "${unit}" is ${to}: ${reason}. Its paths answer 503; it is ${to === 'held' ? 'started when what it needs is there' : 'tried again'}.`)
  // The reason may hold what callers must not know; the log has it.
  opened.http.hold({ id: unit, mounts: plugin.candidate.manifest.mounts, reason: `The plugin "${unit}" is not running.` })
}

/** Those a plugin requires come before it. */
export function inOrderOfNeed (candidates: readonly Candidate[]): readonly Candidate[] {
  const byId = new Map(candidates.map(candidate => [candidate.id, candidate]))
  const ordered = new Set<Candidate>()
  const visit = (candidate: Candidate): void => {
    for (const id of Object.keys(candidate.manifest.requires)) {
      const need = byId.get(id)
      if (need !== undefined && !ordered.has(need)) visit(need)
    }
    ordered.add(candidate)
  }
  candidates.forEach(visit)
  return [...ordered]
}
