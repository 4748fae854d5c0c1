// Runs a real PostgreSQL next to the host for development. Its data is in the host's data folder.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chown, mkdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import type { Stats } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { OpenParts, Resource } from '../../handover/resource.ts'
import { isAlive, isMissing, lockFolder } from './folder-lock.ts'
import { findPostgresBinaries } from './postgres-binary.ts'
import { findServer, launchServer, readLogEnd, serverEnv, stopServer } from './postgres-process.ts'
import { chooseServerUser } from './server-user.ts'
import type { ServerUser } from './server-user.ts'

export interface EmbeddedPostgresSettings {
  dataPath: string
  /** Server parameters in addition to the defaults, or in place of them: `{ fsync: 'off' }`. */
  parameters?: Readonly<Record<string, string>>
}

interface Programs { initdb: string, postgres: string }
type Run = (program: string, args: readonly string[], input?: string) => Promise<void>

const name = 'bulkhead'
const logLimitBytes = 10_000_000
const accessCodes: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOSPC'])

export async function openEmbeddedPostgres (settings: EmbeddedPostgresSettings, parts: OpenParts): Promise<Resource<{ url: string, pid: number }>> {
  const folder = resolve(settings.dataPath)
  try {
    await mkdir(folder, { recursive: true })
    const unlock = await lockFolder(folder, join(folder, 'postgres.lock'))
    try {
      const server = await start(folder, settings.parameters, parts)
      return {
        value: server,
        check: async () => {
          if (!isAlive(server.pid)) throw new Error(`The embedded PostgreSQL has ended; start the host again. ${await readLogEnd(logOf(folder))}`)
        },
        close: async () => {
          await stopServer(server.pid, parts.clock)
          await unlock()
        }
      }
    } catch (error) {
      await unlock()
      throw error
    }
  } catch (cause) {
    if (!Error.isError(cause) || !('code' in cause) || !accessCodes.has(cause.code)) throw cause
    throw new Error(`The embedded PostgreSQL cannot work in the data folder ${folder}: ${cause.message}. ` +
      'Give the folder to the user who runs the host, name another one (PLATFORM_DATA_PATH), or set DATABASE_URL.', { cause })
  }
}

const logOf = (folder: string) => join(folder, 'postgres.log')

async function start (folder: string, parameters: EmbeddedPostgresSettings['parameters'], parts: OpenParts): Promise<{ url: string, pid: number }> {
  const data = join(folder, 'postgres')
  const logPath = logOf(folder)
  const leftBehind = await findServer(data)
  if (leftBehind !== undefined) {
    parts.log.warn({ pid: leftBehind }, 'a host that was killed left its PostgreSQL running; it is stopped and started again')
    await stopServer(leftBehind, parts.clock)
  }
  const { initdb, postgres, folder: programs } = await findPostgresBinaries()
  const dataOwner = (await findStat(data))?.uid
  const user = await chooseServerUser(dataOwner, [initdb, postgres, join(programs, 'lib'), join(programs, 'share'), folder])
  const run = createRun(user, parts.signal)
  const passwordPath = join(folder, 'postgres.password')
  const kept = await findPassword(passwordPath)
  const password = kept ?? randomBytes(24).toString('hex')
  if (dataOwner === undefined) await createData(data, password, { initdb, postgres }, user, run)
  else if (kept === undefined) await runSingle(postgres, data, setPassword(password), run)
  // The password is written last: when a start ends before this line, the next start creates another password.
  if (kept === undefined) await writeFile(passwordPath, `${password}\n`, { mode: 0o600 })

  if (((await findStat(logPath))?.size ?? 0) > logLimitBytes) await truncate(logPath)
  // Another process may take the free port before the server does, so the host tries up to three ports.
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort()
    const all = { listen_addresses: '127.0.0.1', port: `${port}`, unix_socket_directories: '', ...parameters }
    try {
      const pid = await launchServer({ postgres, data, logPath, user, parameters: all }, parts)
      return { url: `postgres://${name}:${password}@127.0.0.1:${port}/${name}`, pid }
    } catch (error) {
      if (attempt === 3 || !String(error).includes('could not bind')) throw error
    }
  }
}

async function findStat (path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: unknown) => { if (isMissing(error)) return undefined; throw error })
}

async function findPassword (path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => { if (isMissing(error)) return ''; throw error })
  return text === '' ? undefined : text.trim()
}

// The data folder is created under another name and renamed when it is complete. A folder with the final name is
// therefore complete, and an interrupted start begins again.
async function createData (data: string, password: string, programs: Programs, user: ServerUser, run: Run): Promise<void> {
  const fresh = `${data}.new`
  await rm(fresh, { recursive: true, force: true })
  await mkdir(fresh, { mode: 0o700 })
  if (user.owner !== undefined) await chown(fresh, user.owner.uid, user.owner.gid)
  await run(programs.initdb, [
    '-D', fresh, '-U', name, '--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--auth=trust', '--no-instructions'
  ])
  await writeFile(join(fresh, 'pg_hba.conf'), 'host all all 127.0.0.1/32 scram-sha-256\n')
  await runSingle(programs.postgres, fresh, `${setPassword(password)}CREATE DATABASE ${name}\n`, run)
  await rename(fresh, data)
}

const setPassword = (password: string) => `ALTER ROLE ${name} PASSWORD '${password}'\n`

/** Runs one statement per line in a server without a network, which ends after the last statement. */
const runSingle = (postgres: string, data: string, statements: string, run: Run) =>
  run(postgres, ['--single', '-D', data, '-c', 'exit_on_error=on', 'postgres'], statements)

function createRun (user: ServerUser, signal: AbortSignal): Run {
  return async (program, args, input) => {
    const [command, ...rest] = [...user.prefix, program, ...args] as [string, ...string[]]
    const running = promisify(execFile)(command, rest, { cwd: '/', env: serverEnv, signal, ...user.credentials })
    running.child.stdin?.on('error', () => { /* The program ended before it read its input; its exit says why. */ }).end(input)
    try {
      await running
    } catch (cause) {
      signal.throwIfAborted()
      const said = Error.isError(cause) && 'stderr' in cause ? String(cause.stderr).trim() : ''
      throw new Error(`${program} failed. ${said === '' ? String(cause) : said}`, { cause })
    }
  }
}

async function findFreePort (): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => { server.once('error', reject).listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}
