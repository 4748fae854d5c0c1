// Defines what a plugin consists of: a manifest (data, read first) and a definition (code that runs under the host's
// supervision).

import type { Access } from './access.ts'
import type { Clock } from './clock.ts'
import type { Encryption } from './encryption.ts'
import type { EventDeclaration, Events } from './event.ts'
import type { GuardedFetch } from './fetch.ts'
import type { Host } from './host.ts'
import type { Kubernetes } from './kubernetes.ts'
import type { Log } from './log.ts'
import type { Postgres } from './postgres.ts'
import type { Routes } from './route.ts'
import type { Storage } from './storage.ts'
import type { Tasks } from './task.ts'
import type { Listen, Timers } from './timer.ts'
import type { Valkey } from './valkey.ts'

/** The resources that a manifest may name. The scope provides each under the same name. */
export interface Resources {
  postgres: Postgres
  valkey: Valkey
  storage: Storage
  kubernetes: Kubernetes
  access: Access
  host: Host
  encryption: Encryption
}
export const resourceNames = ['postgres', 'valkey', 'storage', 'kubernetes', 'access', 'host', 'encryption'] as const satisfies readonly (keyof Resources)[]
export type ResourceName = (typeof resourceNames)[number]

/** The `bulkhead` key of a plugin's `package.json`, with defaults filled in. */
export interface Manifest {
  readonly id: string
  /** A semver range over the host's version. */
  readonly host: string
  readonly requires: Readonly<Record<string, string>>
  readonly optional: Readonly<Record<string, string>>
  readonly mounts: readonly string[]
  /** The events that only this plugin publishes and broadcasts, by name. */
  readonly events: Readonly<Record<string, EventDeclaration>>
  readonly resources: readonly ResourceName[]
  /**
   * The subset of `resources` that the plugin can run without. It starts even if they are absent, and its paths answer
   * while they are unavailable. While any other resource is unavailable, the plugin is held and its paths answer 503.
   */
  readonly tolerates: readonly ResourceName[]
  readonly readiness: 'required' | 'degraded'
  /** An example is off in production unless `PLATFORM_PLUGINS_ENABLED` names it. */
  readonly example: boolean
}

/** One setting of a plugin, in the form that convict uses. The environment can set it only when `env` is given. */
export interface ConfigField<T = unknown> {
  doc: string
  format: string | readonly T[]
  default: T
  env?: string
  /** True for a secret. It is printed as `[secret]` wherever settings are shown. */
  sensitive?: boolean
}
export type ConfigFields = Record<string, ConfigField>
type Widen<T> = T extends string ? string : T extends number ? number : T extends boolean ? boolean : T
export type ConfigOf<C extends ConfigFields> = { readonly [K in keyof C]: Widen<C[K]['default']> }

export interface PermissionDeclaration {
  description: string
  /** The system roles that hold the permission from the start; `admin` always does. */
  roles?: readonly ('developer' | 'ops' | 'viewer')[]
}

/**
 * The services that plugins offer to others, by plugin id. A plugin adds its own by declaration merging:
 * `declare module 'bulkhead' { interface Services { invoices: Invoices } }`.
 */
export interface Services {}

/**
 * The only access that a plugin has to the host. Everything that it registers here is undone, newest first, when the
 * plugin ends.
 */
export interface Scope<Config = Record<string, unknown>> extends Resources {
  readonly id: string
  readonly version: string
  /** The generation of the plugin's code; 1 for the first copy that this process loaded. */
  readonly generation: number
  readonly config: Config
  readonly log: Log
  /** Pending sleeps reject when the plugin has ended. */
  readonly clock: Clock
  readonly timers: Timers
  readonly listen: Listen
  /**
   * Aborts when the plugin must end: its start budget ran out, it stops, or it was replaced. Requests under way still
   * finish after that.
   */
  readonly signal: AbortSignal
  readonly routes: Routes
  readonly tasks: Tasks
  readonly events: Events
  /** Requests under way are aborted when the plugin has ended. */
  readonly fetch: GuardedFetch
  /**
   * The services that the `requires` and `optional` plugins returned from `start`. An optional plugin that is not
   * present is undefined. Objects and functions may be stored: each use reaches the generation that serves at that
   * time, and throws `ServiceUnavailable` while none does.
   */
  readonly plugins: Services & Readonly<Record<string, unknown>>
  /** Adds a step that runs when the plugin ends. Steps run newest first, and none is skipped because another failed. */
  undo (name: string, step: () => void | Promise<void>): void
}

export interface PluginDefinition<C extends ConfigFields = ConfigFields, Service = unknown> {
  config?: C
  permissions?: Record<string, PermissionDeclaration>
  /** Registers the plugin's contributions. Its return value is the service that other plugins get. */
  start (scope: Scope<ConfigOf<C>>): Service | Promise<Service>
  /**
   * Rejects when the plugin is unhealthy. The host calls it twice a second. After three failures in a row the plugin is
   * quarantined and started again later.
   */
  check? (signal: AbortSignal): void | Promise<void>
}

/** Declares a plugin. Use it as the default export. */
export function definePlugin<const C extends ConfigFields = Record<never, never>, Service = unknown> (
  definition: PluginDefinition<C, Service>
): PluginDefinition<C, Service> {
  return Object.freeze({ ...definition })
}
