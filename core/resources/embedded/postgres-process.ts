// Launches a PostgreSQL server process, finds one that is still running, and stops it.

import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Clock } from '../../contract/index.ts'
import type { OpenParts } from '../../handover/resource.ts'
import { isAlive, isMissing } from './folder-lock.ts'
import type { ServerUser } from './server-user.ts'

export interface Launch {
  postgres: string
  data: string
  logPath: string
  user: ServerUser
  parameters: Readonly<Record<string, string>>
}

// The server inherits no environment: PGDATA or PGOPTIONS would change its behaviour, and it must not see the host's
// secrets.
export const serverEnv = { LC_ALL: 'C', TZ: 'UTC' }

const pollMs = 5
const fastShutdownMs = 5_000
const immediateShutdownMs = 2_000
const logEndBytes = 2_000

/** Resolves to the server's process id once it accepts connections. */
export async function launchServer ({ postgres, data, logPath, user, parameters }: Launch, { clock, signal }: OpenParts): Promise<number> {
  const options = Object.entries(parameters).flatMap(([key, value]) => ['-c', `${key}=${value}`])
  const [command, ...args] = [...user.prefix, postgres, '-D', data, ...options] as [string, ...string[]]
  await using log = await open(logPath, 'a', 0o600)
  const { size: logStart } = await log.stat()
  // The server runs in its own process session. Ctrl-C in a terminal then reaches only the host, and the server ends
  // when the host no longer needs it.
  const child = spawn(command, args, { cwd: '/', env: serverEnv, detached: true, stdio: ['ignore', log.fd, log.fd], ...user.credentials })
  child.unref()
  const { pid } = child
  if (pid === undefined) throw new Error(`${command} cannot be run.`, { cause: await new Promise(resolve => child.once('error', resolve)) })
  endWithHost(child, data)
  try {
    for (;;) {
      const server = await readPidFile(data)
      if (server?.pid === pid && server.status === 'ready') return pid
      if (child.exitCode !== null || child.signalCode !== null) throw await explainExit(data, logPath, logStart)
      await clock.sleep(pollMs, signal)
    }
  } catch (error) {
    await stopServer(pid, clock)
    throw error
  }
}

/**
 * Starts a shell that ends the server when this process ends, however it ends: the kernel then closes the pipe, and
 * `read` returns. The command line shows whether the process ID still belongs to the server.
 */
function endWithHost (server: ChildProcess, data: string): void {
  const script = `read -r _ && exit 0
    isOurs () { { tr '\\0' ' ' < "/proc/$1/cmdline" || ps -o args= -p "$1"; } 2>/dev/null | grep -qF -- "$2"; }
    for signal in INT QUIT KILL; do
      isOurs "$1" "$2" || exit 0
      kill -s "$signal" "$1"
      for wait in 1 2 3 4 5 6 7 8 9 10; do isOurs "$1" "$2" || exit 0; sleep 0.5; done
    done`
  const guard = spawn('/bin/sh', ['-c', script, 'sh', `${server.pid ?? ''}`, data], { cwd: '/', env: { PATH: process.env.PATH }, detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  // Without it the server still ends at every orderly stop.
  guard.on('error', () => undefined)
  guard.unref()
  const pipe = guard.stdin as Socket | null
  pipe?.on('error', () => { /* The guard has ended by itself. */ }).unref()
  server.once('exit', () => pipe?.end('the server has ended\n'))
}

/** Finds the server that a killed host left running on `data`. */
export async function findServer (data: string): Promise<number | undefined> {
  const server = await readPidFile(data)
  if (server === undefined || !isAlive(server.pid)) return undefined
  // The file may be older than the last boot of the machine, and the process ID may belong to another process by now.
  // Only a process whose command line names the folder may be stopped.
  const command = await readFile(`/proc/${server.pid}/cmdline`, 'utf8')
    .catch(async () => (await promisify(execFile)('ps', ['-o', 'args=', '-p', `${server.pid}`])).stdout)
  return command.includes(data) ? server.pid : undefined
}

/**
 * Requests a fast shutdown, which ends every session and writes all data to disk. A server that does not end in time
 * gets a harder signal.
 */
export async function stopServer (pid: number, clock: Clock): Promise<void> {
  for (const [signal, waitMs] of [['SIGINT', fastShutdownMs], ['SIGQUIT', immediateShutdownMs], ['SIGKILL', Infinity]] as const) {
    if (!isAlive(pid)) return
    process.kill(pid, signal)
    const until = clock.now() + waitMs
    while (isAlive(pid) && clock.now() < until) await clock.sleep(pollMs)
  }
}

async function explainExit (data: string, logPath: string, logStart: number): Promise<Error> {
  const log = await readLogEnd(logPath, logStart)
  const advice = log.includes('incompatible with server')
    ? `The data in ${data} is of another version of PostgreSQL: move the folder away to begin again, or bring it over with pg_dump and psql.`
    : log.includes('wrong ownership') || log.includes('Permission denied') ? `Give ${data}, and all in it, to one user: \`chown -R\`.` : ''
  return new Error(`The embedded PostgreSQL did not start. ${advice} ${log}`)
}

export async function readLogEnd (path: string, start = 0): Promise<string> {
  await using log = await open(path)
  const { size } = await log.stat()
  const from = Math.max(start, size - logEndBytes)
  const { buffer, bytesRead } = await log.read({ position: from, buffer: Buffer.alloc(logEndBytes) })
  return `The end of ${path}:\n${buffer.toString('utf8', 0, bytesRead).trim()}`
}

// The lines of the file are: process ID, data folder, start time, port, socket folder, address, shared memory, status.
async function readPidFile (data: string): Promise<{ pid: number, status: string | undefined } | undefined> {
  try {
    const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')
    return { pid: Number(lines[0]), status: lines[7]?.trim() }
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
