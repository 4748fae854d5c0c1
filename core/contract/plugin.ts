// What a plugin is: a manifest (data, read first) and a definition (code, run under the host's supervision).

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

/** The resources a manifest may name, and what the scope then holds under that name. */
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

/** The `bulkhead` key of a plugin's `package.json`, defaults filled in. */
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
   * Of the resources, those without which it goes on: it starts though they are absent, and its paths answer while they are away. Without
   * the others it is held, and its paths answer 503.
   */
  readonly tolerates: readonly ResourceName[]
  readonly readiness: 'required' | 'degraded'
  /** An example is off in production unless `PLATFORM_PLUGINS_ENABLED` names it. */
  readonly example: boolean
}

/** One setting of a plugin, in convict's words. `env` must be named for the environment to reach it. */
export interface ConfigField<T = unknown> {
  doc: string
  format: string | readonly T[]
  default: T
  env?: string
  /** A secret shows as `[secret]` wherever settings are printed. */
  sensitive?: boolean
}
export type ConfigFields = Record<string, ConfigField>
type Widen<T> = T extends string ? string : T extends number ? number : T extends boolean ? boolean : T
export type ConfigOf<C extends ConfigFields> = { readonly [K in keyof C]: Widen<C[K]['default']> }

export interface PermissionDeclaration {
  description: string
  /** System roles that hold it from the start; `admin` always does. */
  roles?: readonly ('developer' | 'ops' | 'viewer')[]
}

/**
 * What other plugins offer, by id. A plugin adds its own by declaration merging:
 * `declare module 'bulkhead' { interface Services { invoices: Invoices } }`.
 */
export interface Services {}

/** Everything a plugin reaches, it reaches through this; what is registered here is undone, newest first, when the plugin ends. */
export interface Scope<Config = Record<string, unknown>> extends Resources {
  readonly id: string
  readonly version: string
  /** 1 for the first copy of its code that this process loaded. */
  readonly generation: number
  readonly config: Config
  readonly log: Log
  /** What sleeps on it is woken, with an error, when the plugin has ended. */
  readonly clock: Clock
  readonly timers: Timers
  readonly listen: Listen
  /** Aborts when the plugin is to end: its start budget ran out, it stops, or it was replaced. Requests under way are finished after that. */
  readonly signal: AbortSignal
  readonly routes: Routes
  readonly tasks: Tasks
  readonly events: Events
  /** What is under way is aborted when the plugin has ended. */
  readonly fetch: GuardedFetch
  /**
   * What `requires` and `optional` plugins returned from `start`; an optional one that is not there is undefined. Objects and functions may be
   * kept: they lead to the generation that serves when they are used, and throw `ServiceUnavailable` while none does.
   */
  readonly plugins: Services & Readonly<Record<string, unknown>>
  /** Adds a step to take when the plugin ends. Steps run newest first, and none is skipped because another failed. */
  undo (name: string, step: () => void | Promise<void>): void
}

export interface PluginDefinition<C extends ConfigFields = ConfigFields, Service = unknown> {
  config?: C
  permissions?: Record<string, PermissionDeclaration>
  /** Registers what the plugin contributes; what it returns is what other plugins get. */
  start (scope: Scope<ConfigOf<C>>): Service | Promise<Service>
  /** Rejects when the plugin is not well. Asked twice a second; after three refusals in a row the plugin is quarantined, and started again later. */
  check? (signal: AbortSignal): void | Promise<void>
}

/** Types a plugin's default export. */
export function definePlugin<const C extends ConfigFields = Record<never, never>, Service = unknown> (
  definition: PluginDefinition<C, Service>
): PluginDefinition<C, Service> {
  return Object.freeze({ ...definition })
}
