// Tracks whose code runs. All calls into plugin code pass here, so an error thrown later, in a timer or stray promise, is traced to its plugin.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { OwnedResources } from './owned-resources.ts'

/** One generation of a plugin. */
export interface Owner {
  readonly plugin: string
  readonly generation: number
  readonly account: OwnedResources
}

const current = new AsyncLocalStorage<Owner | undefined>()

/** Undefined in the host's own code. */
export const currentOwner = (): Owner | undefined => current.getStore()

export const runAs = <Args extends unknown[], Result>(owner: Owner | undefined, work: (...args: Args) => Result, ...args: Args): Result =>
  current.run(owner, work, ...args)

type Callable = (...args: unknown[]) => unknown

/** The bound functions of each owner, so that a listener that is passed twice is one listener. */
const bound = new WeakMap<Owner, WeakMap<object, Callable>>()

/**
 * Returns a function that runs as code of the owner, whichever code calls it; the same function gives the same result
 * each time. Other values, and classes, are returned unchanged: a plugin written in JavaScript may pass anything.
 */
export function bindTo<F> (owner: Owner, work: F): F {
  if (typeof work !== 'function' || isClass(work)) return work
  const own = bound.get(owner) ?? new WeakMap<object, Callable>()
  bound.set(owner, own)
  const known = own.get(work)
  if (known !== undefined) return known as F
  const call: Callable = (...args) => current.run(owner, work as unknown as Callable, ...args)
  own.set(work, call)
  return call as F
}

export const isClass = (value: unknown): boolean => typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value))

/** Returns a signal whose listeners run as code of the owner, whichever code aborts it. */
export function bindSignal (owner: Owner, signal: AbortSignal): AbortSignal {
  const own = new AbortController()
  const abort = (): void => current.run(owner, () => own.abort(signal.reason))
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  return own.signal
}

/**
 * Wraps what the host gives a plugin: if the promise rejects unhandled, that is then an error of the code that asked
 * for it.
 */
export const handOver = (result: unknown): unknown => result instanceof Promise ? (async (): Promise<unknown> => await result)() : result
