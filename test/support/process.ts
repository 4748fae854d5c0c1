// Runs outside commands and servers for the tests: commands have a deadline, servers end with the process that started them, even a killed one.

import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Runs a command to its end and gives its standard output; rejects with what it said when it fails or takes longer than `withinMs`. */
export async function run (command: string, args: string[], options: { withinMs: number, cwd?: string }): Promise<string> {
  try {
    const { stdout } = await execute(command, args, { timeout: options.withinMs, killSignal: 'SIGKILL', cwd: options.cwd })
    return stdout
  } catch (cause) {
    throw new Error(`\`${[command, ...args].join(' ')}\` failed, or took longer than ${options.withinMs} ms: ${String(cause)}`, { cause })
  }
}

export interface ServerProcess {
  readonly pid: number
  signal (name: NodeJS.Signals): void
  /** Ends it at once; resolves when it is gone. */
  stop (): Promise<void>
}

export interface ServerOptions {
  /** What it prints, on either output, once it answers. */
  ready: Pick<RegExp, 'test'>
  withinMs?: number
  env?: Record<string, string>
  /** Of the server's own, removed with it. */
  folder?: string
}

/** Starts a server and waits until it says it is ready. */
export async function startServer (command: string, args: string[], options: ServerOptions): Promise<ServerProcess> {
  const { ready, withinMs = 10_000, env = {}, folder } = options
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const watchdog = watch(child, folder)
  const ended = new Promise<void>(resolve => {
    child.once('close', resolve)
    child.once('error', () => resolve())
  // Its number may be given to another process from now on.
  }).then(() => { watchdog.kill('SIGKILL') })
  const stop = async (): Promise<void> => {
    child.ref()
    child.kill('SIGKILL')
    await ended
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }

  let output = ''
  const said = new Promise<void>(resolve => {
    const take = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-20_000)
      if (ready.test(output)) resolve()
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.once('error', error => { output += String(error) })
  })
  const timeout = new AbortController()
  const outcome = await Promise.race([
    said.then(() => 'ready'), ended.then(() => 'it ended'),
    sleep(withinMs, 'too slow', { signal: timeout.signal })
  ])
  timeout.abort()
  if (outcome !== 'ready') {
    await stop()
    throw new Error(`${command} did not start within ${withinMs} ms (${outcome}); it said:\n${output}`)
  }
  // A runner that has nothing else to do may end; the watchdog then ends the server.
  for (const part of [child, child.stdout, child.stderr, watchdog, watchdog.stdin]) (part as { unref?: () => void } | null)?.unref?.()
  return { pid: child.pid ?? -1, signal: name => { child.kill(name) }, stop }
}

/** The kernel closes the pipe when this process ends, however it ends, and `read` returns. Detached, so that Ctrl-C leaves it to do its work. */
function watch (server: ChildProcess, folder = ''): ChildProcess {
  const script = 'read -r _; kill -KILL "$1"; [ -z "$2" ] || rm -rf "$2"'
  return spawn('sh', ['-c', script, 'sh', `${server.pid ?? ''}`, folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
}

/** A port of the loopback address that was free a moment ago. */
export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
