// Writes log lines: JSON for machines, a readable line for a terminal. Secrets are masked in both. A log call never throws
// and never waits.

import { createRequire } from 'node:module'
import { pino, type DestinationStream, type Level } from 'pino'
import type { PrettyOptions } from 'pino-pretty'
import type { Log } from '../contract/index.ts'
import { boundText, describeThrown, describeValue, isError } from '../contract/thrown.ts'
import { createLogOutput, openStandardOutput, type LogOutput } from './log-output.ts'
import { maskPasswords, maskSecrets, maskTokens, textMax, type Mask } from './mask.ts'
import { createValueMask } from './value-mask.ts'

export interface RootLog extends Log {
  /** True when lines are written for people, not as JSON. */
  readonly isPretty: boolean
  /**
   * Writes text unchanged to the output of the log: not as a log line, and not masked. It is for the person at the
   * terminal, such as a password that is shown once.
   */
  print (text: string): void
  /** Writes out the lines that are stored because the reader of the log was slow; waits for it for a moment at most. */
  flush (): void
  /** Says why lines cannot be written at present, and how many were lost. */
  findProblem (): string | undefined
}

interface LogOptions {
  readonly level: Level
  /** `auto` is pretty in a terminal and JSON elsewhere. */
  readonly format: 'auto' | 'pretty' | 'json'
  /** Facts of every JSON line. */
  readonly base?: Readonly<Record<string, unknown>>
  /** Returns values that no line may show. */
  readonly secrets?: () => readonly string[]
  /** Standard output by default. A number is a file descriptor that does not block. */
  readonly destination?: DestinationStream | number
}

/** The number of level warn in pino. */
const warnLevel = 40
/** Longest wait for a slow reader at the exit. It is part of the time that the exit reserves. */
const flushMs = 300

/**
 * Creates the root log. A line of level warn or above is written before the call returns, as long as the output takes it;
 * other lines are written at the end of this turn of the event loop, and at the exit.
 */
export function createLog ({ level, format, base = {}, secrets = () => [], destination }: LogOptions): RootLog {
  const output = typeof destination === 'object' ? withoutLimit(destination) : createLogOutput({
    fd: destination ?? openStandardOutput(),
    onLost: (lost, reason) => always.error({ lost, reason }, `${lost} log lines were lost here: the log could not be written, because ${reason}`)
  })
  const isPretty = format === 'pretty' || (format === 'auto' && destination === undefined && process.stdout.isTTY)
  const shape = isPretty ? loadPretty(Object.keys(base)) : (line: string) => line
  const maskValues = createValueMask(secrets)
  const maskText: Mask = text => maskTokens(maskPasswords(maskValues(text)))
  const stream = {
    // With this mark pino sets `lastLevel` before it writes.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write (line: string) { output.write(maskText(shape(line)), this.lastLevel >= warnLevel) }
  }
  const log = pino({
    level,
    base,
    timestamp: createTimestamp(),
    formatters: { level: label => ({ level: label }), log: facts => maskSecrets(facts, maskText) },
    serializers: { err: (facts: unknown) => facts },
    hooks: {
      logMethod ([facts, message], method) {
        // A method that was taken off its log has no log of its own.
        const own = (this as typeof log | undefined) ?? log
        const hasFacts = typeof facts === 'object' && !isError(facts)
        const sentence = sentenceOf(hasFacts ? message : message ?? facts)
        try {
          method.call(own, hasFacts ? facts : isError(facts) ? { err: facts } : {}, sentence)
        } catch (error) {
          // The facts of the caller may be anything, so that reading them may throw.
          method.call(own, { unread: describeThrown(error) }, sentence)
        }
      }
    }
  }, stream)

  const sentenceOf = (message: unknown): string | undefined => message === undefined ? undefined
    : boundText(isError(message) ? describeThrown(message) : typeof message === 'string' ? message : describeValue(message), textMax, maskText)
  const childOf = Reflect.get(log, 'child') as unknown as (this: unknown, facts: object, options?: object) => Log
  /** Writes at every level that an operator may have set. */
  const always = childOf.call(log, {}, { level: 'trace' })
  return Object.assign(log, {
    // A child log inherits this method and is its `this`. The facts of a child do not pass through the formatter above,
    // so they are masked here.
    child (this: Log, facts: object) {
      try {
        return childOf.call(this, maskSecrets({ ...facts }, maskText))
      } catch (error) {
        this.error({ err: describeThrown(error) }, 'the facts of a child log could not be read; its lines are without them')
        return childOf.call(this, {})
      }
    },
    isPretty,
    print: (text: string) => { output.write(`${text}\n`) },
    flush: () => output.flush(flushMs),
    findProblem: () => output.findProblem()
  })
}

/** Formats each millisecond once: under load many lines have the same one. */
function createTimestamp (): () => string {
  let lastMs = NaN
  let text = ''
  return () => {
    const now = Date.now()
    if (now !== lastMs) {
      lastMs = now
      text = `,"time":"${new Date(now).toISOString()}"`
    }
    return text
  }
}

const withoutLimit = (destination: DestinationStream): LogOutput =>
  ({ write: text => { destination.write(text) }, flush: () => undefined, findProblem: () => undefined })

/**
 * Loads pino-pretty, which formats in this process without a worker between a line and the terminal. JSON logs never
 * load it. `hidden` are facts that a person at the terminal knows.
 */
function loadPretty (hidden: readonly string[]): (line: string) => string {
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as { prettyFactory: (options: PrettyOptions) => (line: string) => string }
  return prettyFactory({
    colorize: process.stdout.isTTY && process.stdout.hasColors(),
    ignore: ['plugin', ...hidden].join(','),
    messageFormat: ({ plugin, msg }) => typeof plugin === 'string' ? `[${plugin}] ${String(msg)}` : String(msg),
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l'
  })
}
