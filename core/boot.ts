// Composition root: starts the host phase by phase, in order from top to bottom. Together with `boot/`, it is the only place that knows every
// part of the core.

import { join } from 'node:path'
import type { Loaded } from '../config/schema.ts'
import { createWatchUnit } from './boot/development.ts'
import { createExitHandler, outcomeOf } from './boot/exit.ts'
import { createHostUnits } from './boot/host-units.ts'
import { createPluginRoster, createPluginUnits, holdPaths } from './boot/plugin-units.ts'
import { createKubernetesUnit, createResourceUnits } from './boot/resource-units.ts'
import { createServingUnits } from './boot/serving-units.ts'
import { logStartReport, logPendingUnits } from './boot/start-report.ts'
import { realClock as clock, steadyClock } from './boot/system-clock.ts'
import type { Opened, UnitParts } from './boot/unit-context.ts'
import { createKernel, StartStopped, type UnitDefinition } from './kernel/index.ts'
import { createLog } from './telemetry/log-writer.ts'

const root = join(import.meta.dirname, '..')

export const start = (loaded: Loaded): Promise<void> => run(loaded, () => [])
/** Like `start`; also reloads each plugin as soon as one of its files is saved. */
export const startDevelopment = (loaded: Loaded): Promise<void> => run(loaded, parts => [createWatchUnit(parts)])

/** `createMore` creates units that are added to the last phase. */
async function run (loaded: Loaded, createMore: (parts: UnitParts) => UnitDefinition[]): Promise<void> {
  const { settings } = loaded
  const log = createLog(settings.log)
  for (const notice of loaded.notices) log.warn(notice)
  // The units fill it as they start.
  const opened = { checks: new Map() } as Opened
  const kernel = createKernel({
    clock: steadyClock,
    onChange: change => {
      log.debug(change, `${change.unit}: ${change.from} → ${change.to}`)
      holdPaths(change, opened, kernel, log)
    },
    onStep: (unit, { name, outcome, error }) => {
      if (outcome !== 'done') log.warn({ unit, err: error }, `undoing "${name}" of ${unit}: ${outcome}`)
    }
  })
  const parts: UnitParts = { loaded, opened, kernel, log, clock, root }
  opened.roster = createPluginRoster(parts)
  const { noteFault, ownerOf } = opened.roster
  const { end } = createExitHandler({ kernel, log, budgetMs: settings.budgets.graceMs - exitReserveMs, noteFault, ownerOf })

  const starting = new AbortController()
  void logPendingUnits(parts, starting.signal)
  try {
    const host = createHostUnits(parts)
    const reports = [
      await kernel.start([host.probes]),
      // Resources, core schema and access. Discovery and validation of the plugins need none of them, so they run at the same time.
      await kernel.start([
        ...createResourceUnits(parts), host.plugins, host.pluginMigrations, host.access, host.encryption, host.permissions, host.host, host.container
      ]),
      await kernel.start([createKubernetesUnit(parts), ...createPluginUnits(parts)]),
      await kernel.start([...createServingUnits(parts), ...createMore(parts)])
    ]
    logStartReport(reports, parts)
  } catch (error) {
    // A stop during the start has already begun to exit.
    if (error instanceof StartStopped) return
    // People get only the message; systems that collect log lines also get the error with its stack.
    log.fatal(log.isPretty ? {} : { err: error }, (error as Error).message)
    await end('the start failed', outcomeOf(error, kernel))
  } finally {
    starting.abort()
  }
}

/** Milliseconds of the grace period that are reserved for the last log lines and the exit. */
const exitReserveMs = 500
