// How the code of plugins is imported: `bulkhead` is this process's contract wherever a plugin lives, and each generation has modules of its own.

import { createRequire, registerHooks } from 'node:module'
import { sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Clock } from '../contract/index.ts'
import type { Candidate } from './discover.ts'
import { explainImportFailure, ImportOverdue } from './import-failure.ts'
import { runAs, type Owner } from './owner.ts'

export interface ImportOptions {
  readonly clock: Clock
  /** For all modules of the plugin together, their top-level awaits included. */
  readonly budgetMs: number
}

const contractUrl = new URL('../contract/index.ts', import.meta.url).href
/** The host's own code, and what it reads its settings with. */
const hostUrls = ['../', '../../config/'].map(path => new URL(path, import.meta.url).href)
const stampForm = /\?generation=\d+$/
/** Of plugins whose code was imported. */
const folders = new Set<string>()

/** A plugin that reaches around the contract would break with any change of the host, and its errors would be taken for the host's. */
class HostImported extends Error {
  readonly code = 'BULKHEAD_HOST_IMPORTED'

  constructor (specifier: string) {
    super(`"${specifier}" is the host's own code`)
    this.name = 'HostImported'
  }
}

/** Makes `import … from 'bulkhead'` give the contract, to every module of this process. Call the result to end that. */
export function registerBulkhead (): () => void {
  const hooks = registerHooks({
    resolve (specifier, context, next) {
      if (specifier === 'bulkhead') return { url: contractUrl, format: 'module-typescript', shortCircuit: true }
      const resolved = next(specifier, context)
      const folder = folderOf(context.parentURL)
      if (folder === undefined || !resolved.url.startsWith('file:')) return resolved
      if (hostUrls.some(url => resolved.url.startsWith(url))) throw new HostImported(specifier)
      const stamp = stampForm.exec(context.parentURL ?? '')
      // A module of a later generation passes its stamp on to what it imports from its own folder.
      if (stamp === null || stampForm.test(resolved.url) || !fileURLToPath(resolved.url).startsWith(folder + sep)) return resolved
      return { ...resolved, url: resolved.url + stamp[0] }
    }
  })
  return () => hooks.deregister()
}

/** The plugin's folder that the module is in. */
function folderOf (url = ''): string | undefined {
  // The host's own modules import by far the most.
  if (!url.startsWith('file:') || hostUrls.some(hostUrl => url.startsWith(hostUrl))) return undefined
  const path = fileURLToPath(url)
  for (let end = path.lastIndexOf(sep); end > 0; end = path.lastIndexOf(sep, end - 1)) {
    if (folders.has(path.slice(0, end))) return path.slice(0, end)
  }
  return undefined
}

/** CommonJS modules are cached by their paths alone; those of an earlier generation keep what they have. */
function forgetCommonJs (folder: string): void {
  const { cache } = createRequire(import.meta.url)
  for (const path of Object.keys(cache)) if (path.startsWith(folder + sep)) Reflect.deleteProperty(cache, path)
}

type Exports = Readonly<Record<string, unknown>>

/**
 * What the entry exports, imported as code of its owner; the modules of a later generation share nothing with those of the first.
 * Throws `PluginImportFailed`.
 */
export async function importPlugin (candidate: Candidate, owner: Owner, { clock, budgetMs }: ImportOptions): Promise<Exports> {
  const { generation } = owner
  const url = pathToFileURL(candidate.entry)
  folders.add(candidate.folder)
  if (generation > 1) {
    url.search = `?generation=${generation}`
    forgetCommonJs(candidate.folder)
  }
  const done = new AbortController()
  try {
    // The module loader has no way to give up: what hangs is left behind.
    const overdue = clock.sleep(budgetMs, done.signal).then(() => { throw new ImportOverdue(budgetMs) })
    return await Promise.race([runAs(owner, () => import(url.href) as Promise<Exports>), overdue])
  } catch (thrown) {
    throw await explainImportFailure(candidate, thrown)
  } finally {
    done.abort()
  }
}
