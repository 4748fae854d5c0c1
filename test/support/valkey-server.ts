// A Valkey or Redis server for the tests: the machine's own, else Debian's package unpacked into a cache folder. Nothing is installed.

import { randomUUID } from 'node:crypto'
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { TestServer } from './global-setup.ts'
import { freePort, run, startServer } from './process.ts'
import type { ServerProcess } from './process.ts'

const downloadMs = 120_000
const unpackMs = 20_000
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'bulkhead-test')

interface Binary { command: string, libraries: string[] }

export async function start (): Promise<TestServer> {
  const port = await freePort()
  const server = await startValkeyServer(port)
  return { env: { TEST_VALKEY_URL: `redis://127.0.0.1:${port}` }, stop: () => server.stop() }
}

/** A server of the test's own, which it may freeze, end and start again on the same port. */
export async function startValkeyServer (port: number, args: string[] = []): Promise<ServerProcess> {
  const { command, libraries } = await findBinary()
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...args]
  return startServer(command, options, {
    ready: /Ready to accept connections/,
    env: libraries.length === 0 ? {} : { LD_LIBRARY_PATH: [...libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter) }
  })
}

async function findBinary (): Promise<Binary> {
  const folders = (process.env.PATH ?? '').split(delimiter)
  for (const name of ['valkey-server', 'redis-server']) {
    for (const folder of folders) if (await exists(join(folder, name))) return { command: join(folder, name), libraries: [] }
  }
  const root = join(cache, `redis-${process.arch}`)
  if (!await exists(root)) await fetchPackage(root)
  const library = join(root, 'usr/lib')
  const folders64 = (await readdir(library, { withFileTypes: true }).catch(() => [])).filter(entry => entry.isDirectory())
  return { command: join(root, 'usr/bin/redis-server'), libraries: [library, ...folders64.map(({ name }) => join(library, name))] }
}

/**
 * apt works in a folder of its own, so it needs no root and no package lists of the machine, and fetches exactly those
 * libraries that the machine does not have.
 */
async function fetchPackage (root: string): Promise<void> {
  if (!await exists('/usr/bin/apt-get')) {
    throw new Error('The tests need a Valkey or Redis server. Install one so that `valkey-server` or `redis-server` is on PATH ' +
      '(macOS: `brew install valkey`; Fedora: `dnf install valkey`).')
  }
  const work = join(cache, `redis-${randomUUID()}`)
  const unpacked = join(work, 'root')
  const archives = join(work, 'cache/archives')
  for (const folder of [unpacked, join(work, 'state/lists/partial'), join(archives, 'partial')]) await mkdir(folder, { recursive: true })
  const apt = [
    `-oDir::State=${work}/state`, '-oDir::State::status=/var/lib/dpkg/status', `-oDir::Cache=${work}/cache`,
    '-oDebug::NoLocking=1', '-oAPT::Sandbox::User=', '-oAcquire::Retries=2', '-oAcquire::Languages=none', '-qq'
  ]
  try {
    await run('apt-get', [...apt, 'update'], { withinMs: downloadMs })
    await run('apt-get', [...apt, 'install', '--download-only', '--no-install-recommends', '--yes', 'redis-server'], { withinMs: downloadMs })
    for (const name of await readdir(archives)) {
      if (name.endsWith('.deb')) await run('dpkg', ['-x', join(archives, name), unpacked], { withinMs: unpackMs })
    }
    if (!await exists(join(unpacked, 'usr/bin/redis-server'))) throw new Error('the package redis-server brought no usr/bin/redis-server')
    // Of two runs that fetch at once the second finds the folder taken, and uses it.
    await rename(unpacked, root).catch(async (error: unknown) => { if (!await exists(root)) throw error })
  } catch (cause) {
    throw new Error('The tests need a Valkey or Redis server, there is none on PATH, and Debian\'s package could not be fetched. ' +
      'Install one (`apt-get install redis-server`), or let apt reach its mirror.', { cause })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false)
