// Finds a program that tests need: the machine's own, else Debian's package unpacked into a cache folder. Nothing is installed.

import { randomUUID } from 'node:crypto'
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { run } from './process.ts'

const downloadMs = 120_000
const unpackMs = 20_000
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'bulkhead-test')

export interface Wanted {
  /** Names under which the program may be on PATH. */
  readonly names: readonly string[]
  readonly package: string
  /** Path of the program in the package. */
  readonly path: string
  /** The need in words, for the message: `a Valkey or Redis server`. */
  readonly needs: string
}

export interface Program {
  readonly command: string
  /** Variables for its environment, so that it finds its libraries. */
  readonly env: Record<string, string>
}

export async function findProgram (wanted: Wanted): Promise<Program> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  for (const name of wanted.names) {
    for (const folder of folders) if (await exists(join(folder, name))) return { command: join(folder, name), env: {} }
  }
  const root = join(cache, `${wanted.package}-${process.arch}`)
  if (!await exists(root)) await fetchPackage(wanted, root)
  const library = join(root, 'usr/lib')
  const nested = (await readdir(library, { withFileTypes: true }).catch(() => [])).filter(entry => entry.isDirectory())
  const libraries = [library, ...nested.map(({ name }) => join(library, name)), process.env.LD_LIBRARY_PATH].filter(Boolean)
  return { command: join(root, wanted.path), env: { LD_LIBRARY_PATH: libraries.join(delimiter) } }
}

/**
 * apt works in a folder of its own, so it needs no root and no package lists of the machine, and fetches exactly those
 * libraries that the machine does not have.
 */
async function fetchPackage ({ names, package: name, path, needs }: Wanted, root: string): Promise<void> {
  if (!await exists('/usr/bin/apt-get')) throw new Error(`The tests need ${needs}. Install one so that ${names.join(' or ')} is on PATH.`)
  const work = join(cache, `${name}-${randomUUID()}`)
  const unpacked = join(work, 'root')
  const archives = join(work, 'cache/archives')
  for (const folder of [unpacked, join(work, 'state/lists/partial'), join(archives, 'partial')]) await mkdir(folder, { recursive: true })
  const apt = [
    `-oDir::State=${work}/state`, '-oDir::State::status=/var/lib/dpkg/status', `-oDir::Cache=${work}/cache`,
    '-oDebug::NoLocking=1', '-oAPT::Sandbox::User=', '-oAcquire::Retries=2', '-oAcquire::Languages=none', '-qq'
  ]
  try {
    await run('apt-get', [...apt, 'update'], { withinMs: downloadMs })
    await run('apt-get', [...apt, 'install', '--download-only', '--no-install-recommends', '--yes', name], { withinMs: downloadMs })
    for (const archive of await readdir(archives)) {
      if (archive.endsWith('.deb')) await run('dpkg', ['-x', join(archives, archive), unpacked], { withinMs: unpackMs })
    }
    if (!await exists(join(unpacked, path))) throw new Error(`the package ${name} brought no ${path}`)
    // When two runs fetch at once, the second one finds the folder taken, and uses it.
    await rename(unpacked, root).catch(async (error: unknown) => { if (!await exists(root)) throw error })
  } catch (cause) {
    throw new Error(`The tests need ${needs}, there is none on PATH, and Debian's package could not be fetched. ` +
      `Install one (\`apt-get install ${name}\`), or let apt reach its mirror.`, { cause })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false)
