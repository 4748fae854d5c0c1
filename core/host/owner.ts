// Whose code is running. Every way into a plugin's code passes here, so that what it throws later, in a timer or a stray promise, is traced to it.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Account } from './account.ts'

/** One generation of a plugin. */
export interface Owner {
  readonly plugin: string
  readonly generation: number
  readonly account: Account
}

const current = new AsyncLocalStorage<Owner | undefined>()

/** Undefined in the host's own code. */
export const currentOwner = (): Owner | undefined => current.getStore()

export const runAs = <Args extends unknown[], Result>(owner: Owner | undefined, work: (...args: Args) => Result, ...args: Args): Result =>
  current.run(owner, work, ...args)

/** The same function as code of the owner, whoever calls it. What is no function stays as it is: a plugin from JavaScript may hand over anything. */
export function bindTo<F> (owner: Owner, work: F): F {
  if (typeof work !== 'function') return work
  return ((...args: unknown[]) => current.run(owner, work as unknown as (...args: unknown[]) => unknown, ...args)) as F
}
