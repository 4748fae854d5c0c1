// The units that face callers: the API's port and readiness. They start after the plugins and stop before them, so that no request is lost.

import { openControl } from '../control/control-socket.ts'
import type { UnitDefinition } from '../kernel/index.ts'
import { watchHealth } from './health.ts'
import { createHostTasksUnit } from './host-tasks.ts'
import { hostUnit, type UnitParts } from './unit-context.ts'

export function createServingUnits (parts: UnitParts): UnitDefinition[] {
  const { loaded: { settings }, opened, log } = parts
  const { drainWaitMs, drainMs } = settings.budgets
  const unit = hostUnit(parts)

  const http = unit('http', ['container'], async ({ undo }) => {
    const listening = await opened.http.listen(settings.listen)
    opened.listening = listening
    // Ends with every connection closed. The only step, so that it has the whole of the budget.
    undo('drain', async signal => {
      const inTime = AbortSignal.any([signal, AbortSignal.timeout(drainWaitMs + drainMs)])
      // At the same time, as both may take the whole of it.
      const requests = listening.drain({ keepListeningMs: drainWaitMs, signal: inTime })
      const [{ cutOff }] = await Promise.all([requests, opened.tasks.drain()])
      if (cutOff > 0) throw new Error(`${cutOff} requests were cut off; give them longer with PLATFORM_DRAIN_BUDGET_MS`)
    })
  })
  const control = unit('control', ['host'], async ({ undo }) => {
    const opening = await openControl(settings.dataPath, opened, log)
    if (opening !== undefined) undo('close', () => opening.close())
  })
  // Undone first: unready before anything else ends.
  const ready = unit('ready', ['http'], ({ undo }) => {
    const stopWatching = watchHealth(parts)
    undo('not ready', async () => {
      opened.probes.notReady(() => 'the host is stopping')
      await stopWatching()
    })
    opened.probes.ready()
  })
  const plugins = opened.roster.members().map(({ id }) => id)
  const drained = { ...http, after: plugins, stopBudgetMs: drainWaitMs + drainMs + closeMs, stopIsReserved: true }
  return [drained, control, ready, createHostTasksUnit(parts)]
}

/** To end what the drain has left. */
const closeMs = 500
