// Writes plugins to a folder of the test's own and takes them through the steps before their start.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import type { Clock } from '../../core/contract/index.ts'
import { discoverPlugins, InvalidPlugins, loadDefinitions, registerBulkhead, validatePlugins } from '../../core/plugin-runtime/index.ts'
import type { Candidate, Discovery, LoadedPlugin } from '../../core/plugin-runtime/index.ts'
import { temporaryFolder } from '../support/host.ts'

registerBulkhead()

export const clock: Clock = { now: Date.now, sleep: async (ms, signal) => { await sleep(ms, undefined, signal && { signal }) } }

/** Relative path → content; an object is written as JSON. */
export type Files = Record<string, string | object>

export async function writeFiles (folder: string, files: Files): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), typeof content === 'string' ? content : JSON.stringify(content))
  }
}

export async function folderWith (t: TestContext, files: Files): Promise<string> {
  const folder = await temporaryFolder(t)
  await writeFiles(folder, files)
  return folder
}

/** A package.json with this manifest. */
export const manifest = (bulkhead: object, rest: object = {}): object =>
  ({ name: 'test', version: '1.0.0', type: 'module', exports: './index.js', bulkhead: { host: '^1.0.0', ...bulkhead }, ...rest })

export const emptyPlugin = 'export default { start () {} }'

/** The two files of a plugin that does nothing. */
export const plugin = (id: string, bulkhead: object = {}, rest: object = {}): Files =>
  ({ [`${id}/package.json`]: manifest({ id, ...bulkhead }, rest), [`${id}/index.js`]: emptyPlugin })

type Where = Parameters<typeof discoverPlugins>[0]

/** `problems` has those of the broken folders, too. */
export const discover = async (paths: string | string[], where: Partial<Where> = {}): Promise<Discovery> => {
  const found = await discoverPlugins({ paths: [paths].flat(), packages: [], disabled: [], enabled: [], production: false, hostVersion: '1.4.0', ...where })
  return { ...found, problems: [...found.problems, ...found.broken.flatMap(({ problems = [] }) => problems)] }
}

export interface Loaded {
  plugins: readonly LoadedPlugin[]
  optional: ReadonlyMap<string, readonly string[]>
  notices: readonly string[]
  candidates: readonly Candidate[]
}

/** Throws `InvalidPlugins` with the problems of every step. */
export async function load (paths: string | string[], { budgetMs = 5_000, ...where }: Partial<Where> & { budgetMs?: number } = {}): Promise<Loaded> {
  const found = await discover(paths, where)
  const validation = validatePlugins(found)
  const loaded = await loadDefinitions(found.candidates, { clock, budgetMs, corePermissions: ['project:read', 'admin:users'] })
  const problems = [
    ...found.problems, ...validation.clashes, ...validation.unmet, ...loaded.clashes, ...loaded.failures.flatMap(({ error }) => error.problems)
  ]
  if (problems.length > 0) throw new InvalidPlugins(problems)
  return { ...validation, candidates: found.candidates, plugins: loaded.plugins }
}

/** The lines of the message, each without the folder in front. */
export async function problemsOf (folder: string, where?: Parameters<typeof load>[1]): Promise<string[]> {
  try {
    await load(folder, where)
  } catch (error) {
    if (error instanceof InvalidPlugins) return error.message.split('\n').slice(1).map(line => line.trim().replaceAll(`${folder}/`, ''))
    throw error
  }
  return []
}
