// The one way out of the process: signals, failed starts and fatal errors join the same stop, and the exit code says which it was.

import { InvalidSettings } from '../../config/schema.ts'
import { FirstAdminRefused } from '../access/index.ts'
import { MasterKeyStillNeeded, WrongMasterKey } from '../encryption/index.ts'
import { RequiredUnitFailed, renderStopReport, type Kernel } from '../kernel/index.ts'
import { currentOwner, InvalidPlugins, type Owner } from '../plugin-runtime/index.ts'
import type { RootLog } from '../telemetry/log-writer.ts'

export const exitCodes = {
  clean: 0,
  fatal: 1,
  settings: 2,
  resources: 3,
  pluginsInvalid: 4,
  pluginNotStarted: 5,
  stopFailed: 6,
  overBudget: 7
} as const
export type Outcome = keyof typeof exitCodes

/** After a second signal, what is left of the stop may take this long. */
const hurriedMs = 1_000
/** One Ctrl-C reaches the host more than once: by the terminal, by npm, by an older Node that handed over. */
const sameSignalMs = 500

interface ExitHandlerDeps {
  kernel: Kernel
  log: RootLog
  /** For the whole of the stop, drain included. */
  budgetMs: number
  /** Takes what code of a plugin threw where nobody waited for it. */
  noteFault (owner: Owner, thrown: unknown): void
  /** Whose code threw it, where the context does not tell. */
  ownerOf (thrown: unknown): Owner | undefined
}

export interface ExitHandler {
  /** Stops the host and exits. Callers join; the first outcome that is not `clean` is the one the process ends with. */
  end (reason: string, outcome: Outcome): Promise<never>
}

export function createExitHandler ({ kernel, log, budgetMs, noteFault, ownerOf }: ExitHandlerDeps): ExitHandler {
  let outcome: Outcome = 'clean'
  let ending: Promise<never> | undefined

  const endOnce = async (reason: string): Promise<never> => {
    log.info({ reason }, 'stopping')
    const report = await kernel.stop(reason, { budgetMs })
    const level = report.outcome === 'clean' ? 'info' : 'error'
    log[level](log.isPretty ? {} : { report }, renderStopReport(report))
    if (outcome === 'clean' && report.outcome !== 'clean') outcome = report.outcome === 'over budget' ? 'overBudget' : 'stopFailed'
    log.flush()
    process.exit(exitCodes[outcome])
  }
  const end = (reason: string, how: Outcome): Promise<never> => {
    if (outcome === 'clean') outcome = how
    return ending ??= endOnce(reason)
  }

  let signalledAt: number | undefined
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      const isRepeat = signalledAt !== undefined && performance.now() - signalledAt < sameSignalMs
      signalledAt ??= performance.now()
      if (isRepeat) return
      if (ending === undefined) { void end(signal, 'clean'); return }
      log.warn({ signal }, `a second signal: what is left of the stop has ${hurriedMs} ms`)
      kernel.hurry(hurriedMs)
    })
  }
  // It is handled in the context it was thrown in, which tells whose code that was; a listener of the host's own runs in the host's, and its
  // stack tells.
  const fatal = (err: unknown, what: string): void => {
    const owner = currentOwner() ?? ownerOf(err)
    if (owner !== undefined) { noteFault(owner, err); return }
    log.fatal({ err }, `${what}; the host stops. Report it, with the lines around this one.`)
    void end(what, 'fatal')
  }
  process.on('exit', code => {
    if (ending !== undefined) return
    // Called from within `process.exit`, so in its context.
    const owner = currentOwner()
    if (owner === undefined) return
    log.fatal({ plugin: owner.plugin, err: new Error('process.exit') }, `plugin "${owner.plugin}" called process.exit(${code}): the host ends at once, with nothing drained. Throw an error instead.`)
    log.flush()
    // Nobody is to take it for a clean stop.
    if (code === 0) process.exitCode = exitCodes.fatal
  })
  process.on('uncaughtException', err => fatal(err, 'an error that nobody caught'))
  process.on('unhandledRejection', err => fatal(err, 'a rejection that nobody handled'))
  return { end }
}

/** What a failed start is called, by what is wrong or else by where. */
export function outcomeOf (error: unknown, kernel: Kernel): Outcome {
  if ([InvalidSettings, FirstAdminRefused, WrongMasterKey, MasterKeyStillNeeded].some(kind => error instanceof kind)) return 'settings'
  if (error instanceof InvalidPlugins) return 'pluginsInvalid'
  if (!(error instanceof RequiredUnitFailed)) return 'fatal'
  const outcome = outcomeOf(error.cause, kernel)
  if (outcome !== 'fatal') return outcome
  return kernel.units().find(({ id }) => id === error.unit)?.kind === 'plugin' ? 'pluginNotStarted' : 'resources'
}
