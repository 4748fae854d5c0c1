// Imports every plugin and checks that its export is a plugin definition, before any plugin starts.

import type { PermissionDeclaration, PluginDefinition } from '../../contract/index.ts'
import type { Candidate } from '../discovery/discover.ts'
import { fingerprintOf } from '../discovery/fingerprint.ts'
import type { Finding } from '../discovery/manifest.ts'
import { findNearest, quoteList } from '../discovery/nearest.ts'
import { findPermissionClashes, type PermissionRules } from '../discovery/permission-clash.ts'
import { InvalidPlugins, type Problem } from '../discovery/plugin-problem.ts'
import { OwnedResources } from '../ownership/owned-resources.ts'
import type { Owner } from '../ownership/owner.ts'
import { PluginImportFailed } from './import-failure.ts'
import { importPlugin, type ImportOptions } from './module-hooks.ts'

export interface LoadedPlugin {
  readonly candidate: Candidate
  readonly definition: PluginDefinition
  /** The state of the folder from which code and migrations were read. */
  readonly fingerprint: string
  /** Owns what the plugin's modules made when they were imported. */
  readonly owner: Owner
}

export interface LoadOptions extends ImportOptions, PermissionRules {}

export interface LoadFailure {
  readonly candidate: Candidate
  readonly error: PluginImportFailed | InvalidPlugins
}

export interface Definitions {
  readonly plugins: readonly LoadedPlugin[]
  /** Plugins that could not be loaded: their folder is broken, or their code threw, hung or defines no plugin. */
  readonly failures: readonly LoadFailure[]
  /** Permissions that two plugins declare. */
  readonly clashes: readonly Problem[]
}

// Importing is work for one core. A few imports at once only use the time in which a plugin waits.
const importsAtOnce = 4

/** Loads the first generation of every candidate. */
export async function loadDefinitions (
  candidates: readonly Candidate[], { corePermissions, permissionHomes = {}, ...options }: LoadOptions
): Promise<Definitions> {
  const plugins: LoadedPlugin[] = []
  const failures: LoadFailure[] = []
  const queue = candidates.values()
  const work = async (): Promise<void> => {
    for (const candidate of queue) {
      try {
        plugins.push(await loadDefinition(candidate, 1, options))
      } catch (error) {
        if (!(error instanceof PluginImportFailed || error instanceof InvalidPlugins)) throw error
        failures.push({ candidate, error })
      }
    }
  }
  await Promise.all(Array.from({ length: importsAtOnce }, work))
  // Imports end in another order than they began; this restores the order of the candidates.
  const order = new Map(candidates.map(({ id }, index) => [id, index]))
  plugins.sort((a, b) => (order.get(a.candidate.id) ?? 0) - (order.get(b.candidate.id) ?? 0))
  return { plugins, failures, clashes: findPermissionClashes(plugins, { corePermissions, permissionHomes }) }
}

/** Throws `PluginImportFailed`, or `InvalidPlugins` when the export is not a sound definition. */
export async function loadDefinition (candidate: Candidate, generation: number, options: ImportOptions): Promise<LoadedPlugin> {
  if (candidate.problems !== undefined) throw new InvalidPlugins(candidate.problems)
  const owner: Owner = { plugin: candidate.id, generation, account: new OwnedResources() }
  const fingerprint = candidate.migrations === undefined ? '' : fingerprintOf(candidate.folder)
  const exported = exportedBy(await importPlugin(candidate, owner, options))
  const findings = checkDefinition(exported)
  if (findings.length > 0) throw new InvalidPlugins(findings.map(([what, mend]) => ({ plugin: candidate.id, file: candidate.entry, what, mend })))
  return { candidate, definition: exported as PluginDefinition, owner, fingerprint }
}

/** Returns the default export. That of CommonJS is what `exports.default` holds, where it is written in this way. */
function exportedBy (module: Readonly<Record<string, unknown>>): unknown {
  const { default: exported } = module
  const isCommonJs = Object.hasOwn(module, 'module.exports')
  return isCommonJs && isObject(exported) && isObject(exported.default) ? exported.default : exported
}

/** Tells whether the migrations in the folder may be others than those that the code was written for. */
export const hasChanged = ({ candidate: { migrations, folder }, fingerprint }: LoadedPlugin): boolean =>
  migrations !== undefined && fingerprintOf(folder) !== fingerprint

const keys = ['config', 'permissions', 'start', 'check'] as const satisfies readonly (keyof PluginDefinition)[]
const permissionKeys = ['description', 'roles'] as const satisfies readonly (keyof PermissionDeclaration)[]
const roles = ['developer', 'ops', 'viewer']
const permissionForm = /^[a-z][a-z0-9-]*:[a-z][a-z0-9-]*$/

/** `exported` is the default export of the entry. */
export function checkDefinition (exported: unknown): Finding[] {
  if (!isObject(exported)) return [['It has no default export that is a plugin.', 'Write "export default definePlugin({ start () { … } })".']]
  const findings = checkKeys('the definition', exported, keys)
  if (typeof exported.start !== 'function') findings.push(['The definition has no function "start".', 'Write one; it may do nothing.'])
  if (exported.check !== undefined && typeof exported.check !== 'function') findings.push(['"check" is not a function.', 'Write one, or leave it out.'])
  // The fields in `config` are checked where settings are read.
  for (const key of ['permissions', 'config']) {
    if (exported[key] !== undefined && !isObject(exported[key])) findings.push([`"${key}" is not an object.`, 'Write one, by name, or leave it out.'])
  }
  const permissions = isObject(exported.permissions) ? Object.entries(exported.permissions) : []
  findings.push(...permissions.flatMap(([name, declared]) => checkPermission(name, declared)))
  return findings
}

function checkPermission (name: string, declared: unknown): Finding[] {
  const findings: Finding[] = []
  if (!permissionForm.test(name)) findings.push([`The permission "${name}" is not of the form "thing:verb".`, 'Write for example "invoice:read": lower-case letters, digits and dashes.'])
  if (!isObject(declared)) return [...findings, [`The permission "${name}" is not an object.`, 'Write { description: "…" }.']]
  findings.push(...checkKeys(`the permission "${name}"`, declared, permissionKeys))
  if (!isText(declared.description)) findings.push([`The permission "${name}" has no description.`, 'Say in a few words what it allows.'])
  if (declared.roles !== undefined && !(Array.isArray(declared.roles) && declared.roles.every(role => roles.includes(role as string)))) {
    findings.push([`The permission "${name}" has "roles" other than ${quoteList(roles)}.`, 'Name only these; "admin" holds every permission.'])
  }
  return findings
}

function checkKeys (of: string, value: object, known: readonly string[]): Finding[] {
  return Object.keys(value).filter(key => !known.includes(key)).map(key => {
    const nearest = findNearest(key, known)
    return [`"${key}" is not a key of ${of}.`, nearest === undefined ? `The keys are ${quoteList(known)}.` : `Write "${nearest}".`]
  })
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== ''
