// Whose code is running. Every way into a plugin's code passes here, so that what it throws later, in a timer or a stray promise, is traced to it.

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

/** So that a listener that was handed over twice is one listener. */
const bound = new WeakMap<Owner, WeakMap<object, Callable>>()

/**
 * The same function as code of the owner, whoever calls it; the same each time. What is no function, or a class, stays as it is: a plugin from
 * JavaScript may hand over anything.
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

/** A signal whose listeners run as code of the owner, whoever aborts. */
export function bindSignal (owner: Owner, signal: AbortSignal): AbortSignal {
  const own = new AbortController()
  const abort = (): void => current.run(owner, () => own.abort(signal.reason))
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  return own.signal
}

/** What the host gives a plugin: a promise that rejects unheard is then an error of whoever asked for it. */
export const handOver = (result: unknown): unknown => result instanceof Promise ? (async (): Promise<unknown> => await result)() : result
