// Finds plugins in folders and npm packages and reads them as data, without running any of their code. Sound ones become candidates.

import { readFileSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Manifest } from '../../contract/index.ts'
import { findEntry } from './entry-module.ts'
import { findFirstPartyFindings } from './first-party.ts'
import { readManifest, type Finding } from './manifest.ts'
import { findNearest } from './nearest.ts'
import type { Problem } from './plugin-problem.ts'
import { isVersion } from './version.ts'

/** A plugin as its folder describes it. All paths are absolute, with symbolic links resolved. */
export interface Candidate {
  readonly id: string
  readonly version: string
  readonly manifest: Manifest
  readonly folder: string
  /** The module whose default export is the definition. */
  readonly entry: string
  /** Path of its `migrations` folder, when it has one. */
  readonly migrations: string | undefined
  /** Path of its `package.json`. */
  readonly file: string
  /** Set when the folder is broken: what cannot be read of it has the value by default, and it cannot be loaded. */
  readonly problems?: readonly Problem[]
}

export interface Skipped {
  readonly folder: string
  readonly why: string
  /** The plugin's id, when the manifest could be read. */
  readonly id?: string
  /** The manifest, when all of it is sound: a plugin that is left out keeps its events. */
  readonly manifest?: Manifest
}

export interface Discovery {
  readonly candidates: readonly Candidate[]
  /** Plugins whose folders are broken, each with its problems. */
  readonly broken: readonly Candidate[]
  readonly skipped: readonly Skipped[]
  /** Problems that concern no plugin, such as a folder of plugins that cannot be read. */
  readonly problems: readonly Problem[]
}

export interface Where {
  /** Folders whose child folders are plugins. */
  readonly paths: readonly string[]
  /** npm packages that are plugins. */
  readonly packages: readonly string[]
  /** Ids, or folder names of plugins whose manifest cannot be read. */
  readonly disabled: readonly string[]
  /** Ids of examples that run in production nevertheless. */
  readonly enabled: readonly string[]
  readonly production: boolean
  readonly hostVersion: string
  /**
   * The folder that holds the plugins of this repository; some ids and mounts are reserved for them. When it is absent,
   * none are reserved.
   */
  readonly ownPlugins?: string
  /** The folder from which packages are resolved; by default the folder of this file, inside the host. */
  readonly packagesFrom?: string
}

/** Reads over a byte order mark, as Node does. */
const decoder = new TextDecoder('utf-8', { fatal: true })

type Read = { candidate: Candidate } | { id: string | undefined, problems: Problem[], isRequired: boolean }

// Number of folders read before other work gets a turn. Reads are synchronous, because asynchronous reads of small
// files cost five times as much in total; the slices keep the process responsive.
const sliceLength = 64

export async function discoverPlugins (where: Where): Promise<Discovery> {
  const candidates: Candidate[] = []
  const { folders, skipped, problems } = findFolders(where)
  const names = new Set<string>()
  const failed: { folder: string, read: Extract<Read, { problems: Problem[] }> }[] = []
  for (const [index, folder] of folders.entries()) {
    if (index % sliceLength === sliceLength - 1) await turn()
    const read = readFolder(folder, where)
    const id = 'candidate' in read ? read.candidate.id : read.id
    names.add(id ?? basename(folder))
    const why = whyLeftOut(where, folder, read, id)
    if (why !== undefined) skipped.push({ folder, why, ...id !== undefined && { id }, ...'candidate' in read && { manifest: read.candidate.manifest } })
    else if ('candidate' in read) candidates.push(read.candidate)
    else failed.push({ folder, read })
  }
  const taken = new Set(candidates.map(({ id }) => id))
  const broken: Candidate[] = []
  for (const { folder, read } of failed) {
    const id = [read.id, basename(folder)].find(name => name !== undefined && isFreeId(name, taken))
    if (id === undefined) skipped.push({ folder, why: read.problems.map(({ what, mend }) => `${what} ${mend}`).join(' ') })
    else broken.push(createBroken(id, folder, read))
    taken.add(id ?? '')
  }
  return { candidates, broken, skipped, problems: [...problems, ...findUnknownNames(where, names)] }
}

interface Found { folders: string[], skipped: Skipped[], problems: Problem[] }

function findFolders ({ paths, packages, packagesFrom = import.meta.dirname }: Where): Found {
  const folders = new Set<string>()
  const skipped: Skipped[] = []
  const problems: Problem[] = []
  const add = (folder: string): void => {
    const real = realpathSync.native(folder)
    if (folders.has(real)) skipped.push({ folder, why: 'it is named twice and loaded once' })
    else folders.add(real)
  }
  for (const path of new Set(paths.map(path => resolve(path)))) {
    try {
      for (const child of readdirSync(path, { withFileTypes: true }).sort((a, b) => a.name < b.name ? -1 : 1)) {
        const folder = join(path, child.name)
        const isFolder = child.isDirectory() || (child.isSymbolicLink() && statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true)
        if (child.name.startsWith('.')) skipped.push({ folder, why: 'its name begins with a dot' })
        else if (child.name === 'node_modules' && isFolder) skipped.push({ folder, why: 'it holds packages; name those that are plugins in PLATFORM_PLUGINS_PACKAGES' })
        else if (isFolder) add(folder)
        else if (child.name !== 'README.md') skipped.push({ folder, why: 'it is not a folder' })
      }
    } catch (cause) {
      problems.push({ file: path, what: `The folder of plugins cannot be read (${reasonOf(cause)}).`, mend: 'Make it, or take it out of PLATFORM_PLUGINS_PATH.' })
    }
  }
  for (const name of new Set(packages)) {
    const file = findPackage(name, packagesFrom)
    if (file !== undefined) add(dirname(file))
    else problems.push({ file: name, what: 'The package is not installed.', mend: `Run "npm install ${name}", or take it out of PLATFORM_PLUGINS_PACKAGES.` })
  }
  return { folders: [...folders], skipped, problems }
}

function findPackage (name: string, from: string): string | undefined {
  if (!/^(?:@[\w.-]+\/)?[\w.-]+$/.test(name) || name.startsWith('.')) return undefined
  try {
    return findPackageJSON(name, pathToFileURL(join(from, 'any.js')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  }
}

function readFolder (folder: string, { hostVersion, ownPlugins }: Where): Read {
  const file = join(folder, 'package.json')
  let text = ''
  const fail = (id: string | undefined, ...findings: Finding[]): Read => ({
    id, isRequired: /"readiness"\s*:\s*"required"/.test(text), problems: findings.map(([what, mend]) => ({ plugin: id, file, what, mend }))
  })

  let content: unknown
  try {
    text = decoder.decode(readFileSync(file))
    content = JSON.parse(text)
  } catch (cause) {
    if (cause instanceof TypeError) return fail(undefined, ['It is not UTF-8 text.', 'Save it as UTF-8.'])
    if (cause instanceof SyntaxError) return fail(undefined, [`It is not JSON (${cause.message}).`, 'Fix it there.'])
    const isEmpty = reasonOf(cause) === 'ENOENT' && readdirSync(folder).length === 0
    return fail(undefined, [isEmpty ? 'The folder is empty.' : `It cannot be read (${reasonOf(cause)}).`, 'Write a package.json with a "bulkhead" key, or take the folder away.'])
  }
  if (!isObject(content) || !Object.hasOwn(content, 'bulkhead')) {
    return fail(undefined, ['It has no "bulkhead" key, so it is not a plugin.', 'Write "bulkhead": { "id": …, "host": "^1.0.0" }, or take the folder away.'])
  }

  const reading = readManifest(content.bulkhead, hostVersion)
  const { manifest } = reading
  const findings = reading.findings ?? (ownPlugins === undefined ? [] : findFirstPartyFindings(reading.manifest, folder, ownPlugins))
  const entry = findEntry(folder, content)
  const { version } = content
  const hasVersion = typeof version === 'string' && isVersion(version)
  if (manifest === undefined || findings.length > 0 || !hasVersion || typeof entry !== 'string') {
    const id = manifest?.id ?? (isObject(content.bulkhead) && typeof content.bulkhead.id === 'string' ? content.bulkhead.id : undefined)
    return fail(id,
      ...findings,
      ...hasVersion ? [] : [[`"version" is ${version === undefined ? 'missing' : 'not a semver version'}.`, 'Write one such as "1.0.0".'] as const],
      ...typeof entry === 'string' ? [] : [entry])
  }
  const migrations = join(folder, 'migrations')
  const hasMigrations = statSync(migrations, { throwIfNoEntry: false })?.isDirectory() === true
  if (hasMigrations && !manifest.resources.includes('postgres') && readdirSync(migrations).some(name => name.endsWith('.sql'))) {
    const resources = [...manifest.resources, 'postgres'].map(name => `"${name}"`).join(', ')
    return fail(manifest.id, ['It has migrations, and "postgres" is not in "resources".', `Write "resources": [${resources}], or take the folder "migrations" away.`])
  }
  return { candidate: { id: manifest.id, version, manifest, folder, entry, migrations: hasMigrations ? migrations : undefined, file } }
}

const isFreeId = (id: string, taken: ReadonlySet<string>): boolean =>
  !taken.has(id) && readManifest({ id, host: '*' }, '1.0.0').manifest !== undefined

/** Describes a broken folder like a plugin, so that it can be quarantined. It mounts nothing but its own id. */
function createBroken (id: string, folder: string, { problems, isRequired }: { problems: readonly Problem[], isRequired: boolean }): Candidate {
  const { manifest } = readManifest({ id, host: '*', readiness: isRequired ? 'required' : 'degraded' }, '1.0.0')
  if (manifest === undefined) throw new Error(`"${id}" is not an id`)
  const own = problems.map(problem => ({ ...problem, plugin: id }))
  return { id, version: 'unknown', manifest, folder, entry: folder, file: join(folder, 'package.json'), migrations: undefined, problems: own }
}

/** Describes a plugin that was never here, and that others require. */
export const createAbsent = (id: string): Candidate => ({
  id, version: 'unknown', folder: '', entry: '', file: '', migrations: undefined,
  manifest: { id, host: '*', requires: {}, optional: {}, mounts: [], events: {}, resources: [], tolerates: [], readiness: 'degraded', example: false }
})

/** A disabled plugin is left out whatever else is wrong with it, so that the host can start without it. */
function whyLeftOut ({ disabled, enabled, production }: Where, folder: string, read: Read, id: string | undefined): string | undefined {
  if (disabled.includes(id ?? basename(folder))) return 'PLATFORM_PLUGINS_DISABLED names it'
  if ('candidate' in read && read.candidate.manifest.example && production && !enabled.includes(read.candidate.id)) {
    return 'it is an example; in production PLATFORM_PLUGINS_ENABLED must name it'
  }
  return undefined
}

function findUnknownNames ({ disabled, enabled }: Where, names: ReadonlySet<string>): Problem[] {
  const unknown = (setting: string, listed: readonly string[]): Problem[] => listed.filter(name => !names.has(name)).map(name => {
    const nearest = findNearest(name, [...names])
    return { file: setting, what: `It names "${name}", and no plugin has this id.`, mend: nearest === undefined ? 'Take it out.' : `Did you mean "${nearest}"?` }
  })
  return [...unknown('PLATFORM_PLUGINS_DISABLED', disabled), ...unknown('PLATFORM_PLUGINS_ENABLED', enabled)]
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const reasonOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error)
