// Composition root: starts the host phase by phase, in order from top to bottom. Together with `boot/`, it is the only place that knows every
// part of the core.

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Loaded } from '../config/schema.ts'
import { createWatchUnit } from './boot/development.ts'
import { createExitHandler, outcomeOf } from './boot/exit.ts'
import { createHostUnits, createPluginsUnit, createProbesUnit } from './boot/host-units.ts'
import { createKubernetes, createResourceUnits } from './boot/resource-units.ts'
import { createServingUnits } from './boot/serving-units.ts'
import { createStartLog, logFailedStart, logPendingUnits } from './boot/start-report.ts'
import { budgetClock, realClock as clock, steadyClock } from './boot/system-clock.ts'
import type { UnitParts } from './boot/unit-context.ts'
import { createKernel, StartStopped, type Change, type UnitDefinition } from './kernel/index.ts'
import { createLog } from './telemetry/log-writer.ts'

const root = join(import.meta.dirname, '..')

export const start = (loaded: Loaded): Promise<void> => run(loaded)
/** Like `start`; also reloads each plugin as soon as one of its files is saved. */
export const startDevelopment = (loaded: Loaded): Promise<void> => run(loaded, { reloadSaved: true })

async function run (loaded: Loaded, { reloadSaved = false } = {}): Promise<void> {
  const { settings } = loaded
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const replica = randomUUID()
  const log = createLog({ ...settings.log, base: { version, replica, pid: process.pid }, secrets: loaded.secrets })
  log.info({ node: process.version, environment: settings.environment, machine: hostname(), dataPath: settings.dataPath },
    `Bulkhead ${version} starts: Node ${process.version}, environment ${settings.environment}, data in ${settings.dataPath}`)
  for (const notice of loaded.notices) log.warn(notice)
  const listeners = new Set<(change: Change) => void>()
  const kernel = createKernel({
    clock: steadyClock,
    budgetClock,
    onChange: change => {
      log.debug(change, `${change.unit}: ${change.from} → ${change.to}`)
      for (const listener of listeners) listener(change)
    },
    onStep: (unit, { name, outcome, error }) => {
      if (outcome !== 'done') log.warn({ unit, err: error }, `undoing "${name}" of ${unit}: ${outcome}`)
    }
  })
  const { end, handleFaults } = createExitHandler({ kernel, log, budgetMs: settings.budgets.graceMs - exitReserveMs })
  const { add, lifecycle, print } = createStartLog()
  const onChange = (listener: (change: Change) => void): (() => void) => {
    listeners.add(listener)
    return () => { listeners.delete(listener) }
  }
  const parts: UnitParts = { loaded, kernel, log, clock, root, replica, lifecycle, onChange, handleFaults }
  const begin = async (units: readonly UnitDefinition[]): Promise<void> => add(await kernel.start(units))

  const starting = new AbortController()
  void logPendingUnits(parts, starting.signal)
  try {
    const probes = createProbesUnit(parts)
    await begin([probes])

    // Resources, core schema and access. Discovery and validation of the plugins need none of them, so they run at the same time.
    const plugins = createPluginsUnit(parts, probes)
    const resources = createResourceUnits(parts, probes)
    const kubernetes = createKubernetes(parts, { probes, plugins })
    const host = createHostUnits(parts, { probes, plugins, ...resources }, kubernetes.handle)
    await begin([plugins, ...Object.values(resources), ...Object.values(host)])

    const found = { ...kernel.valueOf(plugins), unmigrated: kernel.valueOf(host.pluginMigrations) }
    const pluginUnits = kernel.valueOf(host.roster).units(found, kernel.valueOf(host.host).disabled)
    await begin([kubernetes.unit, ...pluginUnits])

    const watch = reloadSaved ? [createWatchUnit(parts, host)] : []
    const serving = createServingUnits(parts, { probes, ...resources, ...host }, [...pluginUnits, ...watch].map(({ id }) => id))
    await begin([...watch, ...Object.values(serving)])
    print(log, { url: kernel.valueOf(serving.listening).url, probesUrl: `http://127.0.0.1:${kernel.valueOf(probes).port}` })
  } catch (error) {
    // A stop during the start has already begun to exit.
    if (error instanceof StartStopped) return
    logFailedStart(error, log)
    await end('the start failed', outcomeOf(error, kernel))
  } finally {
    starting.abort()
  }
}

/** Milliseconds of the grace period that are reserved for the last log lines and the exit. */
const exitReserveMs = 500
