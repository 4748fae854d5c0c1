// How the code of plugins is imported: `bulkhead` is this process's contract wherever a plugin lives, and each generation has modules of its own.

import { createRequire, registerHooks } from 'node:module'
import { sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Clock } from '../../contract/index.ts'
import type { Candidate } from '../discovery/discover.ts'
import { currentOwner, runAs, type Owner } from '../ownership/owner.ts'
import { explainImportFailure, ImportOverdue } from './import-failure.ts'

export interface ImportOptions {
  readonly clock: Clock
  /** For all modules of the plugin together, their top-level awaits included. */
  readonly budgetMs: number
}

const contractUrl = new URL('../../contract/index.ts', import.meta.url).href
const contractFolder = new URL('./', contractUrl).href
/** The host's own code, and what it reads its settings with. */
const hostUrls = ['../../', '../../../config/'].map(path => new URL(path, import.meta.url).href)
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
      if (isHosts(resolved.url)) {
        if (!mayReachHost(context, resolved.url)) throw new HostImported(specifier)
        return resolved
      }
      const importer = importerOf(context.parentURL)
      if (importer === undefined) return resolved
      const { folder, stamp } = importer
      // A module without a file is of the plugin that imports it, and so is what it imports: the address says so, behind what the loader reads of it.
      if (/^(?:data|blob):/.test(resolved.url)) return { ...resolved, url: `${resolved.url.replace(/#.*$/s, '')}${tagOf(importer)}` }
      // A module of a later generation passes its stamp on to what it imports from its own folder.
      if (stamp === '' || !resolved.url.startsWith('file:') || stampForm.test(resolved.url)) return resolved
      return fileURLToPath(resolved.url).startsWith(folder + sep) ? { ...resolved, url: resolved.url + stamp } : resolved
    }
  })
  return () => hooks.deregister()
}

/** Compares real paths: the loader has followed links and undone encodings by now. */
const isHosts = (url = ''): boolean => hostUrls.some(hostUrl => url.startsWith(hostUrl))

interface Context { readonly parentURL?: string | undefined, readonly conditions: readonly string[] }

/**
 * The host's modules import each other, in the host's own context; tests and scripts import them, too. Code of a plugin does not, whatever it gives
 * as the importer: a module without a file, a package that imports for others, CommonJS, which can name any file as its own.
 */
function mayReachHost ({ parentURL = '', conditions }: Context, url: string): boolean {
  if (parentURL.startsWith(contractFolder) && url.startsWith(contractFolder)) return true
  if (conditions.includes('require') || currentOwner() !== undefined || importerOf(parentURL) !== undefined) return false
  return parentURL === '' || isHosts(parentURL) || (parentURL.startsWith('file:') && !parentURL.includes('/node_modules/'))
}

/** The plugin that a module belongs to. */
interface Importer {
  readonly folder: string
  /** As it stands behind the addresses of the generation's modules; empty for the first. */
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

/** The plugin's folder that the module is in. */
function folderOf (url: string): string | undefined {
  // The host's own modules import by far the most.
  if (!url.startsWith('file:') || isHosts(url)) return undefined
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
