// A plugin's own handles on the resources: the real ones until the plugin ends, dead from then on.

import type { Postgres, Resources, Transaction, Valkey } from '../contract/index.ts'
import type { Fence } from './fence.ts'

type Call = (...args: unknown[]) => unknown
type Handle = Readonly<Record<string, unknown>>

/** Every name the handle answers to, also those of its class. */
function namesOf (handle: object): string[] {
  const names = new Set<string>()
  for (let level: object | null = handle; level !== null && level !== Object.prototype; level = Object.getPrototypeOf(level) as object | null) {
    for (const name of Object.getOwnPropertyNames(level)) names.add(name)
  }
  names.delete('constructor')
  return [...names]
}

/**
 * The same methods and properties, behind the fence. Every method of a handle gives a promise, so a dead one gives a rejected one.
 * They are looked up here: a call costs one look at the fence.
 */
function fenceHandle<T extends object> (handle: T, fence: Fence, names = namesOf(handle)): T {
  const fenced: Record<string, unknown> = {}
  for (const name of names) {
    const value = (handle as Handle)[name]
    if (typeof value === 'function') fenced[name] = (...args: unknown[]) => fence.hasEnded ? Promise.reject(fence.createError()) : (value as Call).apply(handle, args)
    else Object.defineProperty(fenced, name, { enumerable: true, get: () => (handle as Handle)[name] })
  }
  return fenced as T
}

/** A transaction that is open when its plugin ends takes no further statement and is rolled back. */
function fenceTransactions<T extends Transaction | Postgres> (handle: T, fence: Fence, names?: string[]): T {
  let namesInside: string[] | undefined
  const fenced = fenceHandle(handle, fence, names)
  fenced.transaction = work => fence.hasEnded
    ? Promise.reject(fence.createError())
    : handle.transaction(async inner => {
      namesInside ??= namesOf(inner)
      const result = await work(fenceTransactions(inner, fence, namesInside))
      fence.check()
      return result
    })
  return fenced
}

/** Keeps a step for the plugin's end and gives back how to forget it. */
export type OnEnd = (leave: () => Promise<void>) => () => void

/** Subscriptions end with the plugin, left or not. */
function fenceSubscriptions (handle: Valkey, fence: Fence, onEnd: OnEnd): Valkey {
  const fenced = fenceHandle(handle, fence)
  fenced.subscribe = async (channel, schema, handler) => {
    fence.check()
    const unsubscribe = await handle.subscribe(channel, schema, message => fence.hasEnded ? undefined : handler(message))
    if (fence.hasEnded) {
      await unsubscribe()
      fence.check()
    }
    const forget = onEnd(unsubscribe)
    return async () => {
      forget()
      await unsubscribe()
    }
  }
  return fenced
}

export function createHandle<Name extends keyof Resources> (name: Name, handle: Resources[Name], fence: Fence, onEnd: OnEnd): Resources[Name] {
  if (name === 'postgres') return fenceTransactions(handle as Postgres, fence) as Resources[Name]
  if (name === 'valkey') return fenceSubscriptions(handle as Valkey, fence, onEnd) as Resources[Name]
  return fenceHandle(handle, fence)
}
