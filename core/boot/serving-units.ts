// Creates the units that serve: the API's port, the control socket, readiness and the host's tasks. The port and readiness start after the
// plugins and stop before them, so that no request is lost.

import { openControl } from '../control/control-socket.ts'
import type { Probes } from '../http/server/probes.ts'
import type { UnitDefinition } from '../kernel/index.ts'
import { watchHealth } from './health.ts'
import { createHostTasksUnit } from './host-tasks.ts'
import type { HostUnits } from './host-units.ts'
import type { ResourceUnits } from './resource-units.ts'
import { hostUnit, type UnitParts } from './unit-context.ts'

export interface StartedUnits extends ResourceUnits, HostUnits {
  readonly probes: UnitDefinition<Probes>
}

/** `plugins` are the ids of the plugins that the host started with. */
export function createServingUnits (parts: UnitParts, started: StartedUnits, plugins: readonly string[]) {
  const { probes, tasks, http, roster, host, encryption, container } = started
  const { loaded: { settings }, log } = parts
  const { drainWaitMs, drainMs } = settings.budgets
  const unit = hostUnit(parts)

  const undrained = unit('http', { http, tasks, container }, async ({ http, tasks }, { undo }) => {
    const listening = await http.listen(settings.listen)
    // This step ends with every connection closed. It is the only step, so that it has the whole budget.
    undo('drain', async signal => {
      const inTime = AbortSignal.any([signal, AbortSignal.timeout(drainWaitMs + drainMs)])
      // Both drains run at the same time, because each may take the whole budget.
      const requests = listening.drain({ keepListeningMs: drainWaitMs, signal: inTime })
      const [{ cutOff }] = await Promise.all([requests, tasks.drain()])
      if (cutOff > 0) throw new Error(`${cutOff} requests were cut off; give them longer with PLATFORM_DRAIN_BUDGET_MS`)
    })
    return listening
  })
  const control = unit('control', { host, encryption }, async ({ host: { host }, encryption: { keys } }, { undo }) => {
    const opening = await openControl(settings.dataPath, { host, keys }, log)
    if (opening !== undefined) undo('close', () => opening.close())
  })
  const hostTasks = createHostTasksUnit(parts, started)
  // The port opens once everything else that is required runs, so that no request is served by a host that then fails to start.
  const listening = {
    ...undrained, after: [...plugins, control.id, hostTasks.id], stopBudgetMs: drainWaitMs + drainMs + closeMs, stopIsReserved: true
  }
  // This unit stops first, so that the host is not ready before anything else ends.
  const ready = unit('ready', { probes, http, roster, listening }, ({ probes, http, roster }, { undo }) => {
    const stopWatching = watchHealth(parts, { probes, http, roster })
    undo('not ready', async () => {
      probes.notReady(() => 'the host is stopping')
      await stopWatching()
    })
    probes.ready()
  })
  return { control, hostTasks, listening, ready }
}

/** Milliseconds to end what is left after the drain. */
const closeMs = 500
