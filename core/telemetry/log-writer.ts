// Writes log lines: JSON for machines, a readable line for a terminal. Secrets are masked in both.

import { createRequire } from 'node:module'
import { pino, type DestinationStream, type Level } from 'pino'
import type { PrettyOptions } from 'pino-pretty'
import type { Log } from '../contract/index.ts'
import { maskPasswords, maskSecrets, maskTokens } from './mask.ts'

export interface RootLog extends Log {
  /** True when lines are written for people, not as JSON. */
  readonly isPretty: boolean
  /**
   * Writes text unchanged to the output of the log: not as a log line, and not masked. It is for the person at the
   * terminal, such as a password that is shown once.
   */
  print (text: string): void
  /** Writes out the lines that are still buffered because the reader of standard output was slow. */
  flush (): void
}

interface LogOptions {
  readonly level: Level
  /** `auto` is pretty in a terminal and JSON elsewhere. */
  readonly format: 'auto' | 'pretty' | 'json'
  /** Standard output by default. */
  readonly destination?: DestinationStream
}

/** Creates the root log. Every line is written before the call returns, so none is lost at an exit. */
export function createLog ({ level, format, destination }: LogOptions): RootLog {
  const stdout = pino.destination({ fd: 1, sync: true })
  // EPIPE means that the reader of standard output has exited. The host continues; the error cannot be logged, because
  // the log has no reader.
  stdout.on('error', (error: NodeJS.ErrnoException) => { if (error.code !== 'EPIPE') throw error })
  const output = destination ?? stdout
  const isPretty = format === 'pretty' || (format === 'auto' && destination === undefined && process.stdout.isTTY)
  const shape = isPretty ? loadPretty() : (line: string) => line
  const log = pino({
    level,
    base: {},
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: label => ({ level: label }), log: facts => maskSecrets(facts) },
    serializers: { err: (facts: unknown) => facts }
  }, { write: line => { output.write(maskTokens(maskPasswords(shape(line)))) } })

  const child = Reflect.get(log, 'child') as unknown as (this: unknown, facts: object) => Log
  return Object.assign(log, {
    // A child log inherits this method and is its `this`. The facts of a child do not pass through the formatter above,
    // so they are masked here.
    child (this: unknown, facts: object) { return child.call(this, maskSecrets({ ...facts })) },
    isPretty,
    print: (text: string) => { output.write(`${text}\n`) },
    flush: () => stdout.flushSync()
  })
}

/**
 * Loads pino-pretty, which formats in this process without a worker between a line and the terminal. JSON logs never
 * load it.
 */
function loadPretty (): (line: string) => string {
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as { prettyFactory: (options: PrettyOptions) => (line: string) => string }
  return prettyFactory({
    colorize: process.stdout.isTTY && process.stdout.hasColors(),
    ignore: 'plugin',
    messageFormat: ({ plugin, msg }) => typeof plugin === 'string' ? `[${plugin}] ${String(msg)}` : String(msg),
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l'
  })
}
