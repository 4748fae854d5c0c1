// Ends the process, in one way only: signals, failed starts and fatal errors join the same stop, and the exit code tells which it was.

import { InvalidSettings } from '../../config/schema.ts'
import { FirstAdminRefused } from '../access/index.ts'
import { MasterKeyStillNeeded, WrongMasterKey } from '../encryption/index.ts'
import { RequiredUnitFailed, renderStopReport, type Kernel } from '../kernel/index.ts'
import { currentOwner, InvalidPlugins, type Roster } from '../plugin-runtime/index.ts'
import type { RootLog } from '../telemetry/log-writer.ts'
import { exitCodes, type Outcome } from './exit-code.ts'

/** After a second signal, the rest of the stop may take this long. */
const hurriedMs = 1_000
/**
 * Signals within this time count as one. One Ctrl-C can reach the host several times: from the terminal, from npm, from an older Node that
 * handed over.
 */
const sameSignalMs = 500

interface ExitHandlerDeps {
  kernel: Kernel
  log: RootLog
  /** Budget of the whole stop, drain included. */
  budgetMs: number
}

type FaultHandler = Pick<Roster, 'noteFault' | 'ownerOf'>

export interface ExitHandler {
  /** Stops the host and exits. Callers join the same stop; the first outcome other than `clean` decides the exit code. */
  end (reason: string, outcome: Outcome): Promise<never>
  /** Hands errors of plugin code that no caller caught to the roster, until the returned function is called. Without a roster they are logged. */
  handleFaults (roster: FaultHandler): () => void
}

export function createExitHandler ({ kernel, log, budgetMs }: ExitHandlerDeps): ExitHandler {
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

  let faults: FaultHandler | undefined
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
  // An error is handled in the async context in which it was thrown, which tells the owner of the code. A listener of the host runs in the host's
  // context; then the stack of the error tells the owner.
  const fatal = (err: unknown, what: string): void => {
    const owner = currentOwner() ?? faults?.ownerOf(err)
    if (owner !== undefined) {
      if (faults === undefined) log.error({ plugin: owner.plugin, err }, `an uncaught error of plugin "${owner.plugin}", while no plugin runs`)
      else faults.noteFault(owner, err)
      return
    }
    log.fatal({ err }, `${what}; the host stops. Report it, with the lines around this one.`)
    void end(what, 'fatal')
  }
  process.on('exit', code => {
    if (ending !== undefined) return
    // This runs within `process.exit`, so in the context of the code that called it.
    const owner = currentOwner()
    if (owner === undefined) return
    log.fatal({ plugin: owner.plugin, err: new Error('process.exit') }, `plugin "${owner.plugin}" called process.exit(${code}): the host ends at once, with nothing drained. Throw an error instead.`)
    log.flush()
    // The exit code must not look like a clean stop.
    if (code === 0) process.exitCode = exitCodes.fatal
  })
  process.on('uncaughtException', err => fatal(err, 'an uncaught error'))
  process.on('unhandledRejection', err => fatal(err, 'an unhandled rejection'))
  return {
    end,
    handleFaults: roster => {
      faults = roster
      return () => { faults = undefined }
    }
  }
}

/** Returns the outcome of a failed start: by the kind of error, or else by the kind of unit that failed. */
export function outcomeOf (error: unknown, kernel: Kernel): Outcome {
  if ([InvalidSettings, FirstAdminRefused, WrongMasterKey, MasterKeyStillNeeded].some(kind => error instanceof kind)) return 'settings'
  if (error instanceof InvalidPlugins) return 'pluginsInvalid'
  if (!(error instanceof RequiredUnitFailed)) return 'fatal'
  const outcome = outcomeOf(error.cause, kernel)
  if (outcome !== 'fatal') return outcome
  return kernel.units().find(({ id }) => id === error.unit)?.kind === 'plugin' ? 'pluginNotStarted' : 'resources'
}
