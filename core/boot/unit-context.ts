// Defines what the units of the composition root share: the opened resources, and how a resource or a step of the host becomes a unit.

import type { Loaded } from '../../config/schema.ts'
import type { AccessModule } from '../access/index.ts'
import type { Clock, Host, Kubernetes, Lifecycle, OpenParts, Resource } from '../contract/index.ts'
import type { EncryptionModule, KeyRotation } from '../encryption/index.ts'
import type { Http, Listening } from '../http/index.ts'
import type { Probes } from '../http/server/probes.ts'
import type { Kernel, UnitDefinition } from '../kernel/index.ts'
import type { OperatorDecision, Container, Found, Roster } from '../plugin-runtime/index.ts'
import type { PostgresClient } from '../resources/postgres/postgres-resource.ts'
import type { StorageClient } from '../resources/storage/storage-client.ts'
import type { ValkeyClient } from '../resources/valkey/valkey-client.ts'
import type { TaskRunner } from '../tasks/index.ts'
import type { RootLog } from '../telemetry/log-writer.ts'
import type { Operation } from './operation.ts'

/** Filled by the units as they start; a unit reads only what the units it needs have put there. */
export interface Opened {
  probes: Probes
  databaseUrl: string
  postgres: PostgresClient
  valkey: ValkeyClient
  storage: StorageClient
  /** Undefined until a cluster was opened. */
  kubernetes: Kubernetes | undefined
  tasks: TaskRunner
  access: AccessModule
  encryption: EncryptionModule
  keys: KeyRotation
  /** Plugins that were found in the plugin folders at the start. */
  found: Found
  roster: Roster
  /** The operators' decisions as they were at the start. */
  choices: readonly OperatorDecision[]
  operation: Operation
  host: Host
  lifecycle: Lifecycle
  container: Container
  http: Http
  listening: Listening
  /** Health checks of the resources and plugins that run, by unit. */
  checks: Map<string, Check>
}

export interface Check {
  /** Throws or rejects with the reason when the unit is not healthy. */
  ask (signal: AbortSignal): void | Promise<void>
  readonly kind: 'resource' | 'plugin'
  /** Whether the host is not ready while this check fails. */
  readonly isRequired: boolean
}

export interface UnitParts {
  readonly loaded: Loaded
  readonly opened: Opened
  readonly kernel: Kernel
  readonly log: RootLog
  readonly clock: Clock
  /** The project's own folder. */
  readonly root: string
}

/** Returns a function that creates a required unit of the host, which has little to undo. */
export function hostUnit ({ loaded: { settings: { budgets } } }: UnitParts, startBudgetMs = budgets.resourceStartMs) {
  return (id: string, needs: readonly string[], start: UnitDefinition['start']): UnitDefinition => ({
    id, kind: 'host', needs, required: true, startBudgetMs, stopBudgetMs: Math.min(budgets.stopMs, hostStopMs), start
  })
}

const hostStopMs = 1_000

interface ResourceUnit<T> {
  id: string
  needs?: readonly string[]
  required?: boolean
  startBudgetMs?: number
  recover?: UnitDefinition['recover']
  open (parts: OpenParts): Promise<Resource<T>>
  keep (value: T): void
}

/** Opening a resource that is unavailable is retried until its budget ends; the resource is found within a second of becoming available. */
export function resourceUnit<T> (
  parts: UnitParts, { id, needs = [], required = true, startBudgetMs, recover, open, keep }: ResourceUnit<T>
): UnitDefinition {
  const { loaded: { settings: { budgets } }, log, clock, opened } = parts
  return {
    id,
    kind: 'resource',
    needs: ['probes', ...needs],
    required,
    startBudgetMs: startBudgetMs ?? budgets.resourceStartMs,
    stopBudgetMs: budgets.stopMs,
    attemptBudgetMs,
    retry: { firstMs: 100, maxMs: 800 },
    ...recover && { recover },
    start: async ({ signal, undo }) => {
      const resource = await open({ log: log.child({ resource: id }), clock, signal })
      undo('close', () => resource.close())
      // A resource that opened too late is closed by now, and must not replace one that opened in time.
      signal.throwIfAborted()
      opened.checks.set(id, { ask: resource.check, kind: 'resource', isRequired: required })
      undo('check no more', () => { opened.checks.delete(id) })
      keep(resource.value)
    }
  }
}

/** Budget of one attempt to open a resource; the first start of an embedded server takes the longest. */
const attemptBudgetMs = 20_000
