// Creates the scope that a plugin's `start` receives: everything its manifest names and nothing else, owned by this one start.

import { asFunction, asValue, createContainer as createAwilix, type AwilixContainer } from 'awilix'
import type { Clock, GuardedFetch, Log, ResourceName, Resources, Scope } from '../../contract/index.ts'
import { resourceNames } from '../../contract/plugin.ts'
import type { Candidate } from '../discovery/discover.ts'
import type { MayPublish } from '../discovery/event-owner.ts'
import { findNearest, quoteList } from '../discovery/nearest.ts'
import { showPath } from '../discovery/plugin-problem.ts'
import { isWithin } from '../discovery/version.ts'
import { Fence } from '../ownership/fence.ts'
import { bindSignal, bindTo, type Owner } from '../ownership/owner.ts'
import { createHandle, type Grantee } from './fenced-resource.ts'
import { Registration } from './registration.ts'
import { createFetch } from './scope-fetch.ts'
import { createClock, createListen, createTimers } from './scope-timer.ts'
import { createServiceHandle, isFollowed, type Offer } from './service-handle.ts'
import { createEvents, createTasks, type TaskScope } from './task-scope.ts'

/** For each resource that the host has opened, the factory of a plugin's own handle on it. */
export type ResourceFactories = { readonly [Name in ResourceName]?: (pluginId: string) => Resources[Name] }

export type Container = AwilixContainer

export class NotDeclared extends Error {
  readonly code = 'BULKHEAD_NOT_DECLARED'

  constructor (message: string) {
    super(message)
    this.name = 'NotDeclared'
  }
}

/** Creates the one container of the host. A plugin's handle is made when the plugin first asks for it. */
export function createContainer (resources: ResourceFactories): Container {
  const container = createAwilix({ strict: true, injectionMode: 'PROXY' })
  for (const name of resourceNames) {
    const create = resources[name]
    if (create === undefined) continue
    container.register(name, asFunction(({ id, holder }: Inside) => createHandle(name, create(id), holder), { lifetime: 'SCOPED' }))
  }
  return container
}

/** The values in a plugin's container that the factories above use. The plugin cannot ask for `holder`. */
interface Inside {
  id: string
  holder: Grantee
}

export interface ScopeParts {
  readonly container: Container
  readonly candidate: Candidate
  readonly owner: Owner
  readonly config: Readonly<Record<string, unknown>>
  readonly log: Log
  readonly clock: Clock
  readonly signal: AbortSignal
  /** The services that other plugins offer. */
  readonly services: ReadonlyMap<string, Offer>
  readonly work: TaskScope
  readonly mayPublish: MayPublish
  readonly fetch: GuardedFetch
  readonly undo: (name: string, step: () => void | Promise<void>) => void
  /** Called with an error that the plugin's code threw and no caller caught. */
  readonly onFault: (thrown: unknown) => void
}

export interface OwnedScope {
  readonly scope: Scope
  readonly registration: Registration
  readonly fence: Fence
  /**
   * From this call on, everything that the plugin still holds throws. Resolves once its timers, listeners and
   * subscriptions are gone.
   */
  readonly end: (reason: unknown) => Promise<void>
}

export function createScope (
  { container, candidate, owner, config, log, clock, signal, services, work, mayPublish, fetch, undo, onFault }: ScopeParts
): OwnedScope {
  const { id, version, manifest, file } = candidate
  const fence = new Fence(id)
  const registration = new Registration(candidate, fence, owner)

  const granted = {
    id, version, generation: owner.generation, config, log,
    signal: bindSignal(owner, signal),
    clock: createClock({ clock, fence, owner }),
    timers: createTimers({ clock, fence, owner, onFault }),
    listen: createListen({ fence, owner }),
    routes: registration.createRoutes(),
    tasks: createTasks({ id, version, registration, fence, owner, work }),
    events: createEvents({ id, registration, fence, owner, work, mayPublish }),
    fetch: createFetch(fetch, { fence, owner }),
    plugins: createServices(candidate, { fence, owner }, services),
    undo: (name: string, step: () => void | Promise<void>) => {
      // A step that comes too late is run at once, and the plugin's code that added it gets an error.
      undo(name, bindTo(owner, step))
      fence.check()
    }
  } satisfies Omit<Scope, ResourceName>

  const own = container.createScope()
  own.register({ holder: asValue<Grantee>({ fence, owner }) })
  for (const [name, value] of Object.entries(granted)) own.register(name, asValue(value))
  const names = [...Object.keys(granted), ...manifest.resources]
  const scope = createFacade(new Map(names.map(name => [name, () => own.resolve<unknown>(name)])), name => new NotDeclared(
    resourceNames.includes(name as ResourceName)
      ? `Plugin "${id}" asked for "${name}" but its manifest does not list it. Add "${name}" to "resources" in ${showPath(file)}.`
      : `Plugin "${id}" asked for "${name}", which no scope has. ${suggest(name, [...names, ...resourceNames])}`))

  return {
    scope: scope as unknown as Scope,
    registration,
    fence,
    end: async reason => {
      fence.end(reason)
      await owner.account.close()
    }
  }
}

function createServices (
  { id, manifest: { requires, optional }, file }: Candidate, { fence, owner }: Grantee, services: ReadonlyMap<string, Offer>
): Scope['plugins'] {
  const getters = new Map(Object.entries({ ...optional, ...requires }).map(([provider, range]) => {
    const find = (): Offer | undefined => {
      const offer = services.get(provider)
      return offer !== undefined && isWithin(offer.version, range) ? offer : undefined
    }
    const handles = new Map<boolean, object>()
    let isFunction = false
    return [provider, () => {
      const offer = find()
      // A required plugin is missing only while this plugin is being ended for that reason. Code in progress gets the
      // error when it uses the handle.
      if (offer === undefined ? !Object.hasOwn(requires, provider) : !isFollowed(offer.service)) return offer?.service
      if (offer !== undefined) isFunction = typeof offer.service === 'function'
      const handle = handles.get(isFunction) ?? createServiceHandle({ fence, holder: owner, provider, find }, isFunction)
      handles.set(isFunction, handle)
      return handle
    }] as const
  }))
  return createFacade(getters, other => new NotDeclared(
    `Plugin "${id}" asked for the plugin "${other}" but its manifest does not list it. Add "${other}" to "requires" or "optional" in ${showPath(file)}.`
  )) as Scope['plugins']
}

/** Creates a frozen object whose properties are read on access. It throws at every name it does not have. */
function createFacade (getters: ReadonlyMap<string, () => unknown>, refuse: (name: string) => Error): Readonly<Record<string, unknown>> {
  const target: Record<string, unknown> = {}
  for (const [name, get] of getters) Object.defineProperty(target, name, { enumerable: true, get })
  return new Proxy(Object.freeze(target), {
    get: (_, name) => {
      // The language, not the plugin, asks for symbols, for what every object has, and for what `await` and JSON look
      // up.
      if (typeof name === 'symbol' || name in target || name === 'then' || name === 'toJSON') return Reflect.get(target, name) as unknown
      throw refuse(name)
    }
  })
}

function suggest (name: string, names: readonly string[]): string {
  const nearest = findNearest(name, names)
  return nearest === undefined ? `It has ${quoteList(names)}.` : `Did you mean "${nearest}"?`
}
