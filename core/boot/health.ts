// Checks the health of resources and plugins. The readiness probe names those that fail, a plugin that needs an unavailable resource answers 503,
// and a plugin whose own check fails is quarantined. Liveness never depends on a check.

import { createLoop } from '../concurrency/loop.ts'
import { untilAborted } from '../concurrency/until-aborted.ts'
import type { Log } from '../contract/index.ts'
import { describeThrown } from '../contract/thrown.ts'
import type { Http } from '../http/index.ts'
import type { Probes } from '../http/server/probes.ts'
import type { HealthCheck, UnitSnapshot } from '../kernel/index.ts'
import { runAs, type Roster } from '../plugin-runtime/index.ts'
import type { UnitParts } from './unit-context.ts'

const periodMs = 500
const deadlineMs = 1_000
/** When the timer is this late, some code has blocked the event loop. */
const standstillMs = 1_000
/**
 * Failed checks in a row until a resource or a plugin counts as unavailable. One answer may come late on a busy machine, and a host that is not
 * ready gets no requests.
 */
const failuresMax = { resource: 2, plugin: 3, host: 2 } as const

interface Failing { readonly check: HealthCheck, readonly count: number, readonly reason: string }

interface WatchParts extends Pick<UnitParts, 'kernel' | 'clock'> { readonly log: Log }

interface Watched {
  readonly probes: Pick<Probes, 'ready' | 'notReady'>
  readonly http: Pick<Http, 'suspend'>
  readonly roster: Pick<Roster, 'members'>
}

/** Code that computes uses the CPU; a process that is frozen, or that gets no CPU on a busy machine, uses hardly any. */
function explainStandstill (lateMs: number, cpuMs: number): string {
  const stood = `the event loop stood still for ${lateMs} ms, and no request was answered meanwhile`
  return cpuMs > lateMs / 2 ? `${stood}: some code computes without a pause`
    : `${stood}: this process used only ${cpuMs} ms of CPU, so it was frozen, got no CPU, or waited in a synchronous call`
}

/** Starts the checks. The returned function ends them and resolves once none is under way. */
export function watchHealth ({ kernel, log, clock }: WatchParts, { probes, http, roster }: Watched): () => Promise<void> {
  const ending = new AbortController()
  /** Checks that have not answered yet. They are not asked again, so that no calls pile up behind a silent system. */
  const asked = new Set<HealthCheck>()
  const failing = new Map<string, Failing>()
  let suspended: readonly string[] = []

  /** Failures of the previous generation do not count against the next one. */
  const failuresOf = (unit: string, check: HealthCheck): { count: number } => {
    const found = failing.get(unit)
    return found?.check === check ? found : { count: 0 }
  }

  const ask = async ({ id: unit, kind }: UnitSnapshot, check: HealthCheck): Promise<void> => {
    const max = failuresMax[kind]
    try {
      const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(deadlineMs)])
      if (asked.has(check)) throw new Error('the last check has not been answered yet')
      asked.add(check)
      const answer = (async () => check(signal))().finally(() => asked.delete(check))
      await untilAborted(signal, answer)
      const { count } = failuresOf(unit, check)
      failing.delete(unit)
      if (count >= max) log.info({ unit }, `${unit} answers again`)
    } catch (err) {
      // Meanwhile another generation may have replaced this one, or it has ended.
      if (ending.signal.aborted || kernel.unit(unit)?.check !== check) return
      const reason = describeThrown(err)
      const count = failuresOf(unit, check).count + 1
      failing.set(unit, { check, count, reason })
      if (count !== max) return
      if (kind === 'plugin') {
        failing.delete(unit)
        kernel.fail(unit, new Error(`its check failed ${max} times in a row, the last time: ${reason}`, { cause: err }))
      } else log.error({ unit, err }, `${unit} does not answer: ${reason}. It is checked twice a second.`)
    }
  }

  /** Makes plugins that do not tolerate the loss of an unavailable resource answer 503 until the resource is back. */
  const suspend = (away: ReadonlySet<string>): void => {
    if (away.size === 0 && suspended.length === 0) return
    const found = roster.members().flatMap(({ id, candidate: { manifest: { resources, tolerates } } }) => {
      const missing = resources.find(name => away.has(name) && !tolerates.includes(name))
      return missing === undefined ? [] : [[id, `Something the plugin "${id}" needs (${missing}) does not answer.`] as const]
    })
    const ids = new Map(found)
    for (const id of suspended) if (!ids.has(id)) http.suspend(id, undefined)
    for (const [id, reason] of ids) http.suspend(id, reason)
    suspended = [...ids.keys()]
  }

  const look = (): void => {
    for (const [unit, { check }] of failing) if (kernel.unit(unit)?.check !== check) failing.delete(unit)
    const units = kernel.units()
    const away = units.filter(({ id, kind }) => (failing.get(id)?.count ?? 0) >= failuresMax[kind])
    suspend(new Set(away.map(({ id }) => id)))
    const reasons = [
      ...away.filter(({ kind, required }) => kind !== 'plugin' && required).map(({ id }) => `${id}: ${failing.get(id)?.reason ?? ''}`),
      ...units.filter(({ kind, required, state }) => kind !== 'host' && required && state !== 'running' && state !== 'disabled')
        .map(({ id, state, reason }) => `${id} is ${state}: ${reason ?? ''}`)
    ]
    if (reasons.length === 0) probes.ready()
    else probes.notReady(() => reasons.join('\n'))
  }

  /** Checks run independently of each other, so that a silent one delays no other. */
  const underWay = new Map<string, Promise<void>>()
  const askAll = (): void => {
    for (const unit of kernel.units()) {
      if (unit.check === undefined || underWay.has(unit.id)) continue
      const asking = ask(unit, unit.check).then(() => {
        underWay.delete(unit.id)
        if (!ending.signal.aborted) look()
      })
      underWay.set(unit.id, asking)
    }
  }
  let dueAt = 0
  const check = (): void => {
    askAll()
    look()
    dueAt = performance.now() + periodMs
  }
  /** CPU time that this thread had used at the last step. */
  let usage = process.threadCpuUsage()
  const step = (): void => {
    const lateMs = Math.round(performance.now() - dueAt)
    const { user, system } = process.threadCpuUsage(usage)
    const cpuMs = Math.round((user + system) / 1_000)
    usage = process.threadCpuUsage()
    if (lateMs > standstillMs) log.warn({ lateMs, cpuMs }, explainStandstill(lateMs, cpuMs))
    check()
  }
  const loop = createLoop({ clock, pauseMs: periodMs, step })
  runAs(undefined, () => {
    check()
    loop.begin()
  })
  return async () => {
    ending.abort()
    await loop.end()
    await Promise.all(underWay.values())
  }
}
