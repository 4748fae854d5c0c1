// What one plugin offers, as another one holds it: always that of the generation that serves now, whenever the handle was taken.

import { ServiceUnavailable } from '../../contract/index.ts'
import type { Fence } from '../ownership/fence.ts'
import { bindTo, handOver, isClass, runAs, type Owner } from '../ownership/owner.ts'

/** What a plugin returned from `start`, while it serves. */
export interface Offer {
  readonly service: unknown
  readonly version: string
  readonly owner: Owner
}

interface ServiceHandleDeps {
  /** Of whoever holds it: its end is the end of the handle. */
  readonly fence: Fence
  /** Whoever holds it: what it hands over to be called is its own code. */
  readonly holder: Owner
  readonly provider: string
  readonly find: () => Offer | undefined
}

type Callable = (...args: unknown[]) => unknown

/** Data (and an array is that) is handed out as it is, and so are classes. */
export const isFollowed = (service: unknown): service is object =>
  (typeof service === 'function' && !isClass(service)) || (typeof service === 'object' && service !== null && !Array.isArray(service))

/**
 * Every property is looked up and every call made in the service of this moment: what a plugin took apart in its `start` still reaches the
 * generation that serves. While the provider does not run it throws `ServiceUnavailable`. Deeper objects are the service's own and not followed.
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

  // What it does is the provider's doing; what it calls back is the holder's, and so is a promise nobody waits for.
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

  // It holds nothing itself that would stand in the way of what the service has now; that it can be called or not is all that counts.
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
