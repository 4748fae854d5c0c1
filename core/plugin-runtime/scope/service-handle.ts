// The handle through which one plugin uses the service of another: it always reaches the generation that serves now, whenever it was taken.

import { ServiceUnavailable } from '../../contract/index.ts'
import type { Fence } from '../ownership/fence.ts'
import { bindTo, handOver, isClass, runAs, type Owner } from '../ownership/owner.ts'

/** The service that a plugin returned from `start`, offered while the plugin serves. */
export interface Offer {
  readonly service: unknown
  readonly version: string
  readonly owner: Owner
}

interface ServiceHandleDeps {
  /** The fence of the plugin that holds the handle: the end of the plugin is the end of the handle. */
  readonly fence: Fence
  /** The plugin that holds the handle: callbacks that it passes run as its own code. */
  readonly holder: Owner
  readonly provider: string
  readonly find: () => Offer | undefined
}

type Callable = (...args: unknown[]) => unknown

/** Tells whether a handle follows the service. Data (an array is data, too) and classes are handed out as they are. */
export const isFollowed = (service: unknown): service is object =>
  (typeof service === 'function' && !isClass(service)) || (typeof service === 'object' && service !== null && !Array.isArray(service))

/**
 * Looks up every property and makes every call in the service of this moment. So even a method that a plugin
 * destructured in its `start` reaches the generation that serves. Throws `ServiceUnavailable` while the provider does
 * not run. Deeper objects belong to the service itself and are not followed.
 */
export function createServiceHandle ({ fence, holder, provider, find }: ServiceHandleDeps, isFunction: boolean): object {
  const calls = new Map<PropertyKey, Callable>()

  const offer = (): Offer => {
    fence.check()
    const found = find()
    if (found === undefined) throw new ServiceUnavailable(`The plugin "${provider}" is not running.`, { retryAfterMs: 1_000 })
    return found
  }
  const service = (): object => Object(offer().service) as object

  // The call runs as code of the provider. Its callbacks run as code of the holder, and a promise that rejects
  // unhandled is the holder's error.
  const call = (owner: Owner, method: Callable, target: unknown, args: readonly unknown[]): unknown =>
    handOver(runAs(owner, (): unknown => Reflect.apply(method, target, args.map(arg => bindTo(holder, arg)))))
  const callOf = (name: PropertyKey): Callable => (...args) => {
    const { owner } = offer()
    const target = service()
    return call(owner, Reflect.get(target, name) as Callable, target, args)
  }
  const read = (name: PropertyKey): unknown => {
    const value: unknown = Reflect.get(service(), name)
    if (typeof value !== 'function' || name === 'constructor' || isClass(value)) return value
    const known = calls.get(name) ?? callOf(name)
    calls.set(name, known)
    return known
  }

  // The target has no properties that could conflict with those of the present service. It only decides whether the
  // proxy can be called.
  return new Proxy(isFunction ? () => undefined : {}, {
    get: (_, name) => read(name),
    set: (_, name, value) => Reflect.set(service(), name, value),
    has: (_, name) => Reflect.has(service(), name),
    ownKeys: () => Reflect.ownKeys(service()),
    getOwnPropertyDescriptor: (_, name) => {
      const found = Reflect.getOwnPropertyDescriptor(service(), name)
      return found === undefined ? undefined : { value: read(name), enumerable: found.enumerable === true, configurable: true, writable: true }
    },
    getPrototypeOf: () => Reflect.getPrototypeOf(service()),
    apply: (_, self, args: unknown[]) => {
      const { owner, service: called } = offer()
      return call(owner, called as Callable, self, args)
    }
  })
}
