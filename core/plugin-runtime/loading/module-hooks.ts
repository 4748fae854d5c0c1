// Imports plugin code: `bulkhead` resolves to this process's contract wherever a plugin lives, and each generation has its own modules.

import { createRequire, registerHooks } from 'node:module'
import { sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Clock } from '../../contract/index.ts'
import type { Candidate } from '../discovery/discover.ts'
import { currentOwner, runAs, type Owner } from '../ownership/owner.ts'
import { explainImportFailure, ImportOverdue } from './import-failure.ts'

export interface ImportOptions {
  readonly clock: Clock
  /** Milliseconds for all modules of the plugin together, including their top-level awaits. */
  readonly budgetMs: number
}

const contractUrl = new URL('../../contract/index.ts', import.meta.url).href
const contractFolder = new URL('./', contractUrl).href
/** URLs of the host's own code, and of the code that reads its settings. */
const hostUrls = ['../../', '../../../config/'].map(path => new URL(path, import.meta.url).href)
const stampForm = /\?generation=\d+$/
/** Folders of the plugins whose code was imported. */
const folders = new Set<string>()

/**
 * Thrown when a plugin bypasses the contract: it would break with any change of the host, and its errors would be taken
 * for errors of the host.
 */
class HostImported extends Error {
  readonly code = 'BULKHEAD_HOST_IMPORTED'

  constructor (specifier: string) {
    super(`"${specifier}" is the host's own code`)
    this.name = 'HostImported'
  }
}

/**
 * Makes `import … from 'bulkhead'` resolve to the contract, for every module of this process. The returned function
 * ends that.
 */
export function registerBulkhead (): () => void {
  const hooks = registerHooks({
    resolve (specifier, context, next) {
      if (specifier === 'bulkhead') return { url: contractUrl, format: 'module-typescript', shortCircuit: true }
      const resolved = next(specifier, context)
      if (isHosts(resolved.url)) {
        if (!mayReachHost(context, resolved.url)) throw new HostImported(specifier)
        return resolved
      }
      const importer = importerOf(context.parentURL)
      if (importer === undefined) return resolved
      const { folder, stamp } = importer
      // A module without a file (`data:`, `blob:`) belongs to the plugin that imports it, and so do its own imports.
      // The URL records the plugin behind the part that the loader reads.
      if (/^(?:data|blob):/.test(resolved.url)) return { ...resolved, url: `${resolved.url.replace(/#.*$/s, '')}${tagOf(importer)}` }
      // A module of a later generation passes its stamp on to what it imports from its own folder.
      if (stamp === '' || !resolved.url.startsWith('file:') || stampForm.test(resolved.url)) return resolved
      return fileURLToPath(resolved.url).startsWith(folder + sep) ? { ...resolved, url: resolved.url + stamp } : resolved
    }
  })
  return () => hooks.deregister()
}

/**
 * Tells whether the URL is code of the host. It compares real paths: the loader has already resolved links and
 * encodings.
 */
const isHosts = (url = ''): boolean => hostUrls.some(hostUrl => url.startsWith(hostUrl))

interface Context { readonly parentURL?: string | undefined, readonly conditions: readonly string[] }

/**
 * Tells whether the importer may import the host's code. The host's modules may, in the host's own context; tests and
 * scripts may, too. Code of a plugin may not, whatever importer it presents: a module without a file, a package that
 * imports for others, or CommonJS, which can name any file as its own.
 */
function mayReachHost ({ parentURL = '', conditions }: Context, url: string): boolean {
  if (parentURL.startsWith(contractFolder) && url.startsWith(contractFolder)) return true
  if (conditions.includes('require') || currentOwner() !== undefined || importerOf(parentURL) !== undefined) return false
  return parentURL === '' || isHosts(parentURL) || (parentURL.startsWith('file:') && !parentURL.includes('/node_modules/'))
}

/** The plugin that a module belongs to. */
interface Importer {
  readonly folder: string
  /** The suffix on the URLs of the generation's modules; empty for the first generation. */
  readonly stamp: string
}

const tagForm = /#plugin=(?<folder>[^&#]*)&stamp=(?<stamp>[^&#]*)$/
const tagOf = ({ folder, stamp }: Importer): string => `#plugin=${encodeURIComponent(folder)}&stamp=${encodeURIComponent(stamp)}`

function importerOf (url = ''): Importer | undefined {
  const { folder: tagged, stamp = '' } = url.startsWith('file:') ? {} : tagForm.exec(url)?.groups ?? {}
  if (tagged !== undefined) return { folder: decodeURIComponent(tagged), stamp: decodeURIComponent(stamp) }
  const folder = folderOf(url)
  return folder === undefined ? undefined : { folder, stamp: stampForm.exec(url)?.[0] ?? '' }
}

/** Returns the plugin folder that contains the module. */
function folderOf (url: string): string | undefined {
  // The host's own modules are excluded first, because they import by far the most.
  if (!url.startsWith('file:') || isHosts(url)) return undefined
  const path = fileURLToPath(url)
  for (let end = path.lastIndexOf(sep); end > 0; end = path.lastIndexOf(sep, end - 1)) {
    if (folders.has(path.slice(0, end))) return path.slice(0, end)
  }
  return undefined
}

/**
 * Removes the plugin's CommonJS modules from the cache, whose only key is the path. An earlier generation continues
 * with the modules it has.
 */
function forgetCommonJs (folder: string): void {
  const { cache } = createRequire(import.meta.url)
  for (const path of Object.keys(cache)) if (path.startsWith(folder + sep)) Reflect.deleteProperty(cache, path)
}

type Exports = Readonly<Record<string, unknown>>

/**
 * Imports the entry as code of its owner and returns its exports. The modules of a later generation share nothing with
 * those of the first. Throws `PluginImportFailed`.
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
    // The module loader cannot cancel an import, so one that hangs is left behind.
    const overdue = clock.sleep(budgetMs, done.signal).then(() => { throw new ImportOverdue(budgetMs) })
    return await Promise.race([runAs(owner, () => import(url.href) as Promise<Exports>), overdue])
  } catch (thrown) {
    throw await explainImportFailure(candidate, thrown)
  } finally {
    done.abort()
  }
}
