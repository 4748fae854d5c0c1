// Turns plugin folders into units: discovers, checks and imports the plugins, and creates their roster.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidSettings } from '../../config/schema.ts'
import { corePermissions, permissionHomes, syncPermissions, type AccessModule } from '../access/index.ts'
import type { Log } from '../contract/index.ts'
import type { Http } from '../http/index.ts'
import type { Change, Kernel, UnitDefinition } from '../kernel/index.ts'
import {
  createRoster, discoverPlugins as discover, InvalidPlugins, loadDefinitions, validatePlugins,
  type Candidate, type Discovery, type Found, type LoadedPlugin, type PluginRooms, type Problem, type Roster
} from '../plugin-runtime/index.ts'
import type { JournalWatch } from '../resources/migrations/migration-watch.ts'
import { migrateAll } from '../resources/migrations/migrations.ts'
import type { PostgresClient } from '../resources/postgres/postgres-resource.ts'
import { migrationsOf } from './plugin-migrations.ts'
import { budgetClock } from './system-clock.ts'
import { passingRetry, type UnitParts } from './unit-context.ts'

/** Reads what the plugin folders contain now. */
export async function discoverPlugins ({ loaded: { settings }, root }: Pick<UnitParts, 'loaded' | 'root'>): Promise<Discovery> {
  const { version: hostVersion } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
  return discover({ ...settings.plugins, production: settings.environment === 'production', hostVersion, packagesFrom: root, ownPlugins: join(root, 'plugins') })
}

export type FoundPlugins = Omit<Found, 'unmigrated'>

const coreNames = corePermissions.map(({ name }) => name)

/**
 * Finds, checks and imports every plugin; apart from the top level of its modules, no plugin code runs. What is wrong with one plugin keeps no
 * other from starting, unless it is required; clashes between plugins do. Then all problems are reported together, and next all problems of the
 * plugins' settings.
 */
export async function readPlugins (parts: ReadParts): Promise<FoundPlugins> {
  const { log } = parts
  const { discovery, found, notices, unmet, fatal, wrongSettings } = await examinePlugins(parts)
  for (const { folder, why } of discovery.skipped) log.info({ folder }, `left out: ${why}`)
  for (const notice of notices) log.info(notice)
  // One message has all that is wrong, also what alone would only hold or quarantine its plugin.
  if (fatal.length > 0) throw new InvalidPlugins([...new Set([...fatal, ...unmet, ...found.failures.flatMap(({ error }) => error.problems)])])
  if (wrongSettings.length > 0) throw new InvalidSettings(wrongSettings)
  const leftOut = discovery.skipped.flatMap(({ id, manifest }) => id === undefined || manifest === undefined ? [] : [{ id, manifest }])
  return { plugins: found.plugins, failures: found.failures, leftOut }
}

type ReadParts = Pick<UnitParts, 'loaded' | 'log' | 'root'>

/** Finds, checks and imports every plugin, and returns what a start makes of them. */
export async function examinePlugins ({ loaded, root }: Pick<UnitParts, 'loaded' | 'root'>) {
  const discovery = await discoverPlugins({ loaded, root })
  const { clashes, unmet, notices } = validatePlugins(discovery)
  const all = [...discovery.candidates, ...discovery.broken]
  const found = await loadDefinitions(all, {
    clock: budgetClock, budgetMs: loaded.settings.budgets.pluginStartMs, corePermissions: coreNames, permissionHomes
  })
  const required = findRequired(all)
  const ofRequired = [...unmet, ...found.failures.flatMap(({ error }) => error.problems)].filter(({ plugin }) => required.has(plugin ?? ''))
  const known = new Set([...all, ...discovery.skipped].map(({ id }) => id))
  return {
    discovery, found, notices, unmet,
    /** Problems with which the host does not start. */
    fatal: [...discovery.problems, ...clashes, ...found.clashes, ...ofRequired],
    wrongSettings: [
      ...loaded.configured.filter(id => !known.has(id)).map(id => `plugins.config.${id}: no plugin has this id; fix it, or remove the section`),
      ...found.plugins.flatMap(plugin => sectionOf(loaded, plugin).problems)
    ]
  }
}

/** Returns the ids of the required plugins and of all plugins that they require. */
function findRequired (candidates: readonly Candidate[]): ReadonlySet<string> {
  const byId = new Map(candidates.map(candidate => [candidate.id, candidate]))
  const required = new Set(candidates.filter(({ manifest }) => manifest.readiness === 'required').map(({ id }) => id))
  for (const id of required) for (const need of Object.keys(byId.get(id)?.manifest.requires ?? {})) required.add(need)
  return required
}

/**
 * Finds plugins whose id is the name of a database role of the host. Postgres prefers the schema that has the role's name, so a statement that
 * names a table without its schema would find the table of such a plugin.
 */
export const findRoleProblems = (roles: ReadonlySet<string>, candidates: readonly Candidate[]): Problem[] =>
  candidates.filter(({ id }) => roles.has(id)).map(({ id, file }) => ({
    plugin: id, file,
    what: `The id "${id}" is the name of the database role that the host signs in with, and the plugin's schema would be that role's own ("$user").`,
    mend: 'Choose another id, or give DATABASE_URL another role.'
  }))

const sectionOf = (loaded: UnitParts['loaded'], { candidate: { id }, definition }: LoadedPlugin) =>
  loaded.pluginSettings({ id, fields: definition.config ?? {} })

interface RosterNeeds extends PermissionParts {
  readonly http: Http
  /** Learns of the migrations of each plugin that is loaded later. */
  readonly migrations: JournalWatch
  readonly rooms: UnitDefinition<PluginRooms>
}

export function createPluginRoster (parts: UnitParts, { postgres, access, http, migrations, rooms }: RosterNeeds): Roster {
  const { loaded, kernel, log, clock } = parts
  const { budgets, plugins: { errorsMax, errorWindowMs } } = loaded.settings
  return createRoster({
    kernel, clock, budgetClock, log,
    corePermissions: coreNames,
    permissionHomes,
    importBudgetMs: budgets.pluginStartMs,
    startBudgetMs: budgets.pluginStartMs,
    // A plugin that ends finishes its running work first, so the drain is part of the budget.
    stopBudgetMs: budgets.drainMs + budgets.stopMs,
    recover: { firstMs: 1_000, maxMs: 60_000, resetAfterMs: 120_000 },
    retryRequired: passingRetry,
    faultLimit: { max: errorsMax, windowMs: errorWindowMs },
    rooms,
    discover: async () => {
      const { candidates, broken, ...discovery } = await discoverPlugins(parts)
      const [unfit, sound] = [candidates.filter(({ id }) => postgres.roles.has(id)), candidates.filter(({ id }) => !postgres.roles.has(id))]
      const refused = unfit.map(one => ({ ...one, problems: findRoleProblems(postgres.roles, [one]) }))
      return { ...discovery, candidates: sound, broken: [...broken, ...refused] }
    },
    findSettingProblems: plugin => sectionOf(loaded, plugin).problems,
    configOf: plugin => sectionOf(loaded, plugin).values as Readonly<Record<string, unknown>>,
    logOf: (id, generation) => log.child({ plugin: id, ...generation > 1 && { generation } }),
    migrate: async candidate => {
      const sets = migrationsOf(candidate)
      await migrateAll({ url: postgres.url, sets, log, clock, signal: AbortSignal.timeout(budgets.migrationMs) })
      for (const set of sets) migrations.add(set)
    },
    declare: plugins => declarePermissions(plugins, { postgres, access }),
    release: id => http.release(id)
  })
}

interface PermissionParts {
  readonly postgres: PostgresClient
  readonly access: AccessModule
}

/** Brings the permissions of these plugins into the database. */
export async function declarePermissions (plugins: readonly LoadedPlugin[], { postgres, access }: PermissionParts): Promise<void> {
  const declared = plugins.flatMap(({ candidate: { id }, definition }) =>
    Object.entries(definition.permissions ?? {}).map(([name, { description, roles = [] }]) => ({ plugin: id, name, description, roles })))
  await syncPermissions(postgres.host, declared)
  access.declare(declared)
}

/** For each state: what the plugin's paths answer, and how the log line continues after the reason. */
const holds: Partial<Record<Change['to'], readonly [answer: string, log?: string]>> = {
  stopping: ['is stopping or being restarted'],
  quarantined: ['has failed and is retried soon', 'it is retried'],
  held: ['waits for something it needs', 'it is started when what it needs is there'],
  failed: ['is not running', 'it is not retried'],
  disabled: ['is switched off', 'it is started when it is enabled']
}
/** Milliseconds until a client should retry, for a plugin whose next start is unknown. */
const retryLaterMs = 5_000

/** Makes the paths of a plugin that does not run answer 503 until the plugin is mounted. */
export function holdPaths (
  { unit, to, reason = '', error }: Change, { roster, http, kernel, log }: { roster: Roster, http: Http, kernel: Kernel, log: Log }
): void {
  const [answer, next] = holds[to] ?? []
  const member = answer === undefined ? undefined : roster.members().find(({ id }) => id === unit)
  if (member === undefined) return
  const budget = error !== undefined && 'code' in error && error.code === 'BULKHEAD_BUDGET_EXCEEDED'
    ? ` (its start budget, PLATFORM_PLUGIN_START_BUDGET_MS; it begins in ${member.candidate.entry})` : ''
  if (next !== undefined) {
    log[to === 'disabled' ? 'info' : 'error']({ plugin: unit, state: to, ...error && { err: error } },
      `plugin "${unit}" is ${to}: ${reason.replace(/\.$/, '')}${budget}. Its paths answer 503; ${next}.`)
  }
  http.hold({
    id: unit,
    mounts: member.candidate.manifest.mounts,
    // The cause may contain facts that clients must not see; the log has it.
    reason: `The plugin "${unit}" ${answer}.`,
    retryAfterMs: () => Math.max(1_000, (kernel.unit(unit)?.retryAt ?? Date.now() + retryLaterMs) - Date.now())
  })
}
