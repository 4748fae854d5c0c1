// Defines what all units of the composition root use, and how a resource or a step of the host becomes a unit.

import type { Loaded } from '../../config/schema.ts'
import type { Clock, Lifecycle } from '../contract/index.ts'
import type { OpenParts, Resource } from '../handover/resource.ts'
import { defineUnit, type Change, type Given, type Kernel, type Needs, type StartContext, type UnitDefinition } from '../kernel/index.ts'
import type { Roster } from '../plugin-runtime/index.ts'
import { isPassingError } from '../resources/postgres/passing-error.ts'
import type { RootLog } from '../telemetry/log-writer.ts'

export interface UnitParts {
  readonly loaded: Loaded
  readonly kernel: Kernel
  readonly log: RootLog
  readonly clock: Clock
  /** The project's own folder. */
  readonly root: string
  /** The name of this replica, in its log lines and for the other replicas. */
  readonly replica: string
  /** Returns how the start has gone so far. */
  lifecycle (): Lifecycle
  /** Calls `listener` after each change of a unit, until the returned function is called. */
  onChange (listener: (change: Change) => void): () => void
  /** Hands errors of plugin code that no caller caught to the roster, until the returned function is called. */
  handleFaults (roster: Pick<Roster, 'noteFault' | 'ownerOf'>): () => void
}

/**
 * The limits of a required unit of the host, which has little to undo. A state of the database that passes, such as read-only, does not fail
 * it before its budget ends.
 */
export const hostLimits = ({ loaded: { settings: { budgets } } }: Pick<UnitParts, 'loaded'>, startBudgetMs = budgets.resourceStartMs) =>
  ({ kind: 'host', required: true, startBudgetMs, stopBudgetMs: Math.min(budgets.stopMs, hostStopMs), retry: passingRetry }) as const

/** Returns a function that creates a required unit of the host. */
export const hostUnit = (parts: Pick<UnitParts, 'loaded'>, startBudgetMs?: number) =>
  <Units extends Needs, Value>(
    id: string, needs: Units, start: (given: Given<Units>, context: StartContext) => Value | Promise<Value>
  ): UnitDefinition<Value> => defineUnit(
    { id, ...hostLimits(parts, startBudgetMs) },
    needs, async (given, context) => ({ value: await start(given, context) })
  )

const hostStopMs = 1_000
/** A unit goes on within a second of the time at which what it lacks is available. */
const retry = { firstMs: 100, maxMs: 800 } as const
export const passingRetry: UnitDefinition['retry'] = { ...retry, isPassing: isPassingError }

/** Database connections beside the pools: for migrations, for the health check and for the database's notifications. */
export const ownConnections = 4

type ResourceLimits = Pick<UnitDefinition, 'id' | 'recover'> & Partial<Pick<UnitDefinition, 'required' | 'startBudgetMs'>>

/** Opening a resource that is unavailable is retried until its budget ends; the resource is found within a second of becoming available. */
export function resourceUnit<Units extends Needs, Value> (
  { loaded: { settings: { budgets } }, log, clock }: UnitParts, limits: ResourceLimits, needs: Units,
  open: (parts: OpenParts, given: Given<Units>) => Promise<Resource<Value>>
): UnitDefinition<Value> {
  return defineUnit({
    kind: 'resource',
    required: true,
    startBudgetMs: budgets.resourceStartMs,
    stopBudgetMs: budgets.stopMs,
    attemptBudgetMs,
    retry,
    ...limits
  }, needs, async (given, { signal, undo }) => {
    const resource = await open({ log: log.child({ resource: limits.id }), clock, signal }, given)
    undo('close', () => resource.close())
    return resource
  })
}

/** Budget of one attempt to open a resource; the first start of an embedded server takes the longest. */
const attemptBudgetMs = 20_000
