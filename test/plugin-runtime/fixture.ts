// Stands where the rooms beside the host stand: handles that remember what they were asked, and units on a real kernel.

import type { Log, Postgres, Transaction, Valkey } from '../../core/contract/index.ts'
import type { TaskRecord } from '../../core/handover/task-record.ts'
import { createKernel, UnitHeld, type Kernel, type UnitDefinition } from '../../core/kernel/index.ts'
import { createContainer, createRoster, type Found, type LoadedPlugin, type MountedPlugin, type Owner, type PluginRooms, type ResourceFactories, type Roster, type RosterParts, type TaskScope } from '../../core/plugin-runtime/index.ts'
import { OwnedResources } from '../../core/plugin-runtime/ownership/owned-resources.ts'
import { clock } from './plugin-folder.ts'

export const silent: Log = { trace () {}, debug () {}, info () {}, warn () {}, error () {}, fatal () {}, child: () => silent }

class RecordingPostgres {
  readonly #calls: string[]
  readonly #prefix: string

  constructor (calls: string[], prefix: string) {
    this.#calls = calls
    this.#prefix = prefix
  }

  async any (statement: string): Promise<string[]> {
    this.#calls.push(`${this.#prefix}${statement}`)
    return [statement]
  }

  async transaction<T> (work: (tx: RecordingPostgres) => Promise<T>): Promise<T> {
    this.#calls.push('BEGIN')
    try {
      const result = await work(new RecordingPostgres(this.#calls, 'tx '))
      this.#calls.push('COMMIT')
      return result
    } catch (error) {
      this.#calls.push('ROLLBACK')
      throw error
    }
  }
}

/** Only what the tests call of it. */
export interface AnyPostgres {
  any (statement: string): Promise<string[]>
  transaction<T> (work: (tx: AnyPostgres) => Promise<T>): Promise<T>
}
export const asAny = (postgres: Postgres | Transaction): AnyPostgres => postgres as unknown as AnyPostgres

export function createFakes (): { calls: string[], resources: ResourceFactories } {
  const calls: string[] = []
  return {
    calls,
    resources: {
      postgres: id => { calls.push(`postgres for ${id}`); return new RecordingPostgres(calls, '') as unknown as Postgres },
      valkey: () => ({
        subscribe: async (channel: string) => { calls.push(`subscribe ${channel}`); return async () => { calls.push(`leave ${channel}`) } }
      }) as unknown as Valkey,
      kubernetes: () => ({
        state: 'absent', detail: 'there is no cluster', call: async () => { throw new Error('absent') }, watch: async () => { throw new Error('absent') }
      })
    }
  }
}

export interface Run {
  readonly kernel: Kernel
  readonly roster: Roster
  readonly calls: string[]
  readonly mounted: Map<string, MountedPlugin>
  readonly tasks: Map<string, readonly TaskRecord[]>
  start (): Promise<unknown>
}

interface RunOptions {
  plugins: readonly LoadedPlugin[]
  failures?: Found['failures']
  leftOut?: Found['leftOut']
  /** Resources that are held. */
  absent?: readonly string[]
  disabled?: ReadonlyMap<string, string>
  startBudgetMs?: number
  rooms?: Partial<PluginRooms>
  parts?: Partial<RosterParts>
}

export function createRun (
  { plugins, failures = [], leftOut = [], absent = [], disabled = new Map(), startBudgetMs = 2_000, rooms = {}, parts = {} }: RunOptions
): Run {
  const { calls, resources } = createFakes()
  const mounted = new Map<string, MountedPlugin>()
  const tasks = new Map<string, readonly TaskRecord[]>()
  const kernel = createKernel({ clock })
  const container: UnitDefinition<PluginRooms> = {
    id: 'container', kind: 'host', needs: [], required: true, startBudgetMs: 100, stopBudgetMs: 100,
    start: () => ({
      value: {
        container: createContainer(resources),
        clock,
        checkRoutes: records => records.flatMap(({ method, path, options }) => Object.keys(options).length > 0 ? [] : [`${method.toUpperCase()} ${path} does not say who may call it.`]),
        mount: plugin => {
          mounted.set(plugin.id, plugin)
          calls.push(`mount ${plugin.id}`)
          return () => {
            if (mounted.get(plugin.id) === plugin) mounted.delete(plugin.id)
            calls.push(`unmount ${plugin.id}`)
          }
        },
        work: noWork,
        fetch: refuse,
        registerTasks: async ({ plugin, tasks: records }) => { tasks.set(plugin, records); return async () => { tasks.delete(plugin); calls.push(`end tasks of ${plugin}`) } },
        ...rooms
      }
    })
  }
  const roster = createRoster({
    kernel, clock, budgetClock: clock, log: silent, corePermissions: ['project:read'], importBudgetMs: 2_000, startBudgetMs, stopBudgetMs: 1_000,
    recover: { firstMs: 100_000, maxMs: 100_000, resetAfterMs: 100_000 }, faultLimit: { max: 2, windowMs: 60_000 }, rooms: container,
    configOf: () => ({ days: 3 }), logOf: () => silent,
    discover: async () => ({ candidates: [], broken: [], skipped: [], problems: [] }), findSettingProblems: () => [],
    migrate: async ({ id }) => { calls.push(`migrate ${id}`) }, declare: async () => undefined,
    release: id => { calls.push(`release ${id}`) },
    ...parts
  })
  const resourceUnits = Object.keys(resources).map(id => ({
    id, kind: 'resource' as const, needs: [], required: false, startBudgetMs: 100, stopBudgetMs: 100,
    start: () => { if (absent.includes(id)) throw new UnitHeld('there is none') }
  }))
  const found = { plugins, failures, unmigrated: new Set<string>(), leftOut }
  const start = (): Promise<unknown> => kernel.start([container, ...resourceUnits, ...roster.units(found, disabled)])
  return { kernel, roster, calls, mounted, tasks, start }
}

export const refuse = async (): Promise<never> => { throw new Error('there is nothing outside') }
/** For a plugin that sends nothing. */
export const noWork: TaskScope = { send: refuse, publish: refuse, broadcast: refuse, hear: refuse }

export const createOwner = (plugin: string, generation = 1): Owner => ({ plugin, generation, account: new OwnedResources() })

/** A plugin that is in memory only. */
export function inMemory (id: string, definition: LoadedPlugin['definition'], manifest: Partial<LoadedPlugin['candidate']['manifest']> = {}): LoadedPlugin {
  return {
    definition,
    fingerprint: '',
    owner: createOwner(id),
    candidate: {
      id, version: '1.0.0', folder: `/plugins/${id}`, entry: `/plugins/${id}/index.ts`, file: `/plugins/${id}/package.json`, migrations: undefined,
      manifest: { id, host: '*', requires: {}, optional: {}, mounts: [id], events: {}, resources: [], tolerates: [], readiness: 'degraded', example: false, ...manifest }
    }
  }
}
