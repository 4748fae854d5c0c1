// Writes log lines: JSON for machines, a readable line for a terminal, and never a secret in either.

import { createRequire } from 'node:module'
import { pino, type DestinationStream, type Level } from 'pino'
import type { PrettyOptions } from 'pino-pretty'
import type { Log } from '../contract/index.ts'
import { maskPasswords, maskSecrets, maskTokens } from './mask.ts'

export interface RootLog extends Log {
  /** Whether lines are written for people. */
  readonly isPretty: boolean
  /** Text as it is, for the person at the terminal: not kept where lines are collected, and so the place for what is shown once. */
  print (text: string): void
  /** Writes out what is still held because the reader was slow. */
  flush (): void
}

interface LogOptions {
  readonly level: Level
  /** `auto` is pretty in a terminal and JSON elsewhere. */
  readonly format: 'auto' | 'pretty' | 'json'
  /** Standard output unless said. */
  readonly destination?: DestinationStream
}

/** Every line is written before the call returns, so none is lost at an exit. */
export function createLog ({ level, format, destination }: LogOptions): RootLog {
  const stdout = pino.destination({ fd: 1, sync: true })
  // Whoever read the lines has gone: that is no reason to end, and there is nobody left to tell.
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
    // A child inherits this method and is the `this` of it. Its facts do not pass the formatter above.
    child (this: unknown, facts: object) { return child.call(this, maskSecrets({ ...facts })) },
    isPretty,
    print: (text: string) => { output.write(`${text}\n`) },
    flush: () => stdout.flushSync()
  })
}

/** In this process, without a worker between a line and the terminal; loaded only where somebody reads. */
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
