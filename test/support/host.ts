// Runs `node core/main.js` as an operator would, and gives a test hold of its output, its addresses and its end.

import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

const main = join(import.meta.dirname, '../../core/main.js')

/** Added to the environment of a host whose password hashes are to cost little. */
export const withCheapHashes = { NODE_OPTIONS: `--import=${JSON.stringify(join(import.meta.dirname, 'cheap-hash.ts'))}` }

export interface HostProcess {
  readonly pid: number
  /** Everything written so far, standard output and standard error together. */
  output (): string
  /** The JSON log lines so far. */
  lines (): LogLine[]
  /** Resolves with the first line that matches; rejects with the output when the process ends first or after `withinMs`: two minutes unless said. */
  line (matches: (line: LogLine) => boolean, withinMs?: number): Promise<LogLine>
  /** Resolves once the host is ready, with where it listens. */
  ready (): Promise<{ url: string, probesUrl: string }>
  signal (name: NodeJS.Signals): void
  /** Exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
}

export type LogLine = Record<string, unknown> & { msg: string }

/** Only what a test names reaches the host: none of the machine's own settings. */
export function startHost (
  t: TestContext, env: Record<string, string>, args: string[] = [], { openFilesMax }: { openFilesMax?: number } = {}
): HostProcess {
  const command = [process.execPath, main, ...args]
  const limited = openFilesMax === undefined ? command : ['sh', '-c', 'ulimit -n "$0" && exec "$@"', String(openFilesMax), ...command]
  const child = spawn(limited[0] ?? '', limited.slice(1), {
    env: {
      PATH: process.env.PATH, HOME: process.env.HOME,
      PLATFORM_LISTEN: '127.0.0.1:0', LIGHTSHIP_PORT: '0', PLATFORM_LOG_FORMAT: 'json', ...env
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  const watchers = new Set<() => void>()
  const take = (chunk: Buffer): void => { output += chunk.toString(); for (const watch of watchers) watch() }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const ended = new Promise<number | NodeJS.Signals>(resolve =>
    child.once('close', (code, signal) => { resolve(code ?? signal ?? -1); for (const watch of watchers) watch() }))
  t.after(async () => { child.kill('SIGKILL'); await ended })

  // Each whole line is read once: a host at debug writes hundreds of thousands.
  const read: LogLine[] = []
  let readTo = 0
  const lines = (): LogLine[] => {
    for (let end = output.indexOf('\n', readTo); end !== -1; end = output.indexOf('\n', readTo)) {
      const line = output[readTo] === '{' ? parseLine(output.slice(readTo, end)) : undefined
      if (line !== undefined) read.push(line)
      readTo = end + 1
    }
    return read
  }
  const line = (matches: (line: LogLine) => boolean, withinMs = 120_000): Promise<LogLine> => new Promise((resolve, reject) => {
    const settle = (finish: () => void): void => { clearTimeout(timer); watchers.delete(watch); finish() }
    const watch = (): void => {
      const found = lines().find(matches)
      if (found !== undefined) settle(() => resolve(found))
      else if (child.exitCode !== null || child.signalCode !== null) settle(() => reject(new Error(`the host ended first:\n${output}`)))
    }
    const timer = setTimeout(() => settle(() => reject(new Error(`no such line within ${withinMs} ms:\n${output}`))), withinMs)
    watchers.add(watch)
    watch()
  })

  return {
    pid: child.pid ?? -1,
    output: () => output,
    lines,
    line,
    ready: async () => {
      const { url, probesUrl } = await line(({ msg }) => msg === 'ready')
      return { url: String(url), probesUrl: String(probesUrl) }
    },
    signal: name => { child.kill(name) },
    ended
  }
}

/** A JSON object of another kind, such as a report of Node that is printed over several lines, is no log line. */
function parseLine (text: string): LogLine | undefined {
  try { return JSON.parse(text) as LogLine } catch { return undefined }
}

/** A folder of the test's own, removed after it. */
export async function temporaryFolder (t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
