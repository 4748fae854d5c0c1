// Creates the units that serve: the API's port, the control socket, readiness and the host's tasks. The port and readiness start after the
// plugins and stop before them, so that no request is lost.

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
    // This step ends with every connection closed. It is the only step, so that it has the whole budget.
    undo('drain', async signal => {
      const inTime = AbortSignal.any([signal, AbortSignal.timeout(drainWaitMs + drainMs)])
      // Both drains run at the same time, because each may take the whole budget.
      const requests = listening.drain({ keepListeningMs: drainWaitMs, signal: inTime })
      const [{ cutOff }] = await Promise.all([requests, opened.tasks.drain()])
      if (cutOff > 0) throw new Error(`${cutOff} requests were cut off; give them longer with PLATFORM_DRAIN_BUDGET_MS`)
    })
  })
  const control = unit('control', ['host'], async ({ undo }) => {
    const opening = await openControl(settings.dataPath, opened, log)
    if (opening !== undefined) undo('close', () => opening.close())
  })
  // This unit stops first, so that the host is not ready before anything else ends.
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

/** Milliseconds to end what is left after the drain. */
const closeMs = 500
