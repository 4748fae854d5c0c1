// Composition root: the phases in order, readable top to bottom; with `boot/`, the only place that knows every neighbour.

import { join } from 'node:path'
import { InvalidSettings, loadSettings, type Loaded } from '../config/schema.ts'
import { announce, sayWhatIsWaitedFor } from './boot/announce.ts'
import { realClock as clock, steadyClock } from './boot/clock.ts'
import { keys, migrate, plugins, printSettings, tasks } from './boot/command.ts'
import { createWatchUnit } from './boot/development.ts'
import { createEnding, exitCodes, outcomeOf } from './boot/ending.ts'
import { createHostUnits } from './boot/host-units.ts'
import { createPluginRoster, createPluginUnits, holdPaths } from './boot/plugin-units.ts'
import { createKubernetesUnit, createResourceUnits } from './boot/resource-units.ts'
import { createServingUnits } from './boot/serving-units.ts'
import type { Opened, UnitParts } from './boot/unit.ts'
import { createKernel, StartStopped, type UnitDefinition } from './kernel/index.ts'
import { createLog } from './telemetry/log.ts'

const root = join(import.meta.dirname, '..')

const start = (loaded: Loaded): Promise<void> => run(loaded, () => [])
const dev = (loaded: Loaded): Promise<void> => run(loaded, parts => [createWatchUnit(parts)])

const commands = { start, dev, settings: printSettings, migrate, plugins, tasks, keys }

/** `node core/main.js [start | dev | settings | migrate … | plugins … | tasks … | keys …]`. Sets the exit code; `start` ends the process itself. */
export async function main ([name = 'start', ...args]: string[]): Promise<void> {
  if (!Object.hasOwn(commands, name)) { refuse(`"${name}" is not a command; they are ${Object.keys(commands).join(', ')}.`); return }
  try {
    const loaded = loadSettings({
      env: process.env, folder: join(root, 'config'), root,
      // Neither the code of plugins nor child processes are to find secrets there.
      forget: variable => { Reflect.deleteProperty(process.env, variable) }
    })
    await commands[name as keyof typeof commands](loaded, args, root)
  } catch (error) {
    if (!(error instanceof InvalidSettings)) throw error
    refuse(error.message)
  }
}

function refuse (message: string): void {
  console.error(message)
  process.exitCode = exitCodes.settings
}

/** `createMore` makes units that come after all others. */
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
  const { end } = createEnding({ kernel, log, budgetMs: settings.budgets.graceMs - exitReserveMs, noteFault, ownerOf })

  const starting = new AbortController()
  void sayWhatIsWaitedFor(parts, starting.signal)
  try {
    const host = createHostUnits(parts)
    const reports = [
      await kernel.start([host.probes]),
      // The resources, the core schema and access; at the same time, as it needs none of them, discovery and validation of the plugins.
      await kernel.start([
        ...createResourceUnits(parts), host.plugins, host.pluginMigrations, host.access, host.encryption, host.permissions, host.host, host.container
      ]),
      await kernel.start([createKubernetesUnit(parts), ...createPluginUnits(parts)]),
      await kernel.start([...createServingUnits(parts), ...createMore(parts)])
    ]
    announce(reports, parts)
  } catch (error) {
    // A stop that came first has its own way out.
    if (error instanceof StartStopped) return
    // The message is for people; where it came from is for those who collect lines.
    log.fatal(log.isPretty ? {} : { err: error }, (error as Error).message)
    await end('the start failed', outcomeOf(error, kernel))
  } finally {
    starting.abort()
  }
}

/** What the process keeps of the grace period for its last lines and its exit. */
const exitReserveMs = 500
