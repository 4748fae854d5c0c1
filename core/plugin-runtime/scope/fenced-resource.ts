// A plugin's own handles on the resources: they reach the real ones until the plugin ends, and fail from then on.

import type { Encryption, Kubernetes, KubernetesApis, Postgres, Resources, Transaction, Valkey } from '../../contract/index.ts'
import type { Fence } from '../ownership/fence.ts'
import { bindTo, handOver, runAs, type Owner } from '../ownership/owner.ts'

/** The generation that holds a handle, and its fence. */
export interface Grantee {
  readonly fence: Fence
  readonly owner: Owner
}

type Call = (...args: unknown[]) => unknown
type Handle = Readonly<Record<string, unknown>>

/** Returns every name that the handle answers to, including those of its class. */
function namesOf (handle: object): string[] {
  const names = new Set<string>()
  for (let level: object | null = handle; level !== null && level !== Object.prototype; level = Object.getPrototypeOf(level) as object | null) {
    for (const name of Object.getOwnPropertyNames(level)) names.add(name)
  }
  names.delete('constructor')
  return [...names]
}

type Refuse = (fence: Fence) => unknown
const reject: Refuse = fence => Promise.reject(fence.createError())
const refuse: Refuse = fence => { throw fence.createError() }

/**
 * Returns the same methods and properties, behind the fence. After the end a method returns a rejected promise by
 * default, because most methods return a promise; with `refuse` it throws. Methods are looked up once, here. The call
 * itself runs as code of the host. Its callbacks run as code of the plugin, and a promise that rejects unhandled is an
 * error of the plugin.
 */
function fenceHandle<T extends object> (handle: T, { fence, owner }: Grantee, { names = namesOf(handle), dead = reject } = {}): T {
  const fenced: Record<string, unknown> = {}
  for (const name of names) {
    const value = (handle as Handle)[name]
    if (typeof value === 'function') {
      fenced[name] = (...args: unknown[]) => fence.hasEnded
        ? dead(fence)
        : handOver(runAs(undefined, () => (value as Call).apply(handle, args.map(arg => bindTo(owner, arg)))))
    } else if (isGroup(value)) fenced[name] = fenceHandle(value, { fence, owner })
    else Object.defineProperty(fenced, name, { enumerable: true, get: () => (handle as Handle)[name] })
  }
  return fenced as T
}

/** Tells whether the value is a group of methods: `users` in `access.users.create`. */
const isGroup = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(member => typeof member === 'function')

/**
 * A transaction that is open when its plugin ends takes no further statement. It is rolled back at once, whatever its
 * work waits for.
 */
function fenceTransactions<T extends Transaction | Postgres> (handle: T, holder: Grantee, names?: string[]): T {
  const { fence, owner } = holder
  let namesInside: string[] | undefined
  const fenced = fenceHandle(handle, holder, names && { names })
  fenced.transaction = async work => {
    fence.check()
    const done = owner.account.open('connections', 'an open transaction')
    try {
      return await runAs(undefined, () => handle.transaction(async inner => {
        namesInside ??= namesOf(inner)
        const result = await fence.orEnd(runAs(owner, async () => work(fenceTransactions(inner, holder, namesInside))))
        fence.check()
        return result
      }))
    } finally {
      done()
    }
  }
  return fenced
}

/** A subscription ends with the plugin, even if the plugin has not left it. */
function fenceSubscriptions<T extends Valkey | Kubernetes> (
  handle: T, holder: Grantee, method: keyof T & string, nameOf: (first: unknown) => string
): T {
  const { fence, owner } = holder
  const fenced = fenceHandle(handle, holder) as T & Record<string, unknown>
  const subscribe: unknown = handle[method]
  if (typeof subscribe !== 'function') return fenced
  const fencedSubscribe = async (...args: unknown[]): Promise<() => Promise<void>> => {
    fence.check()
    const heard = args.map(arg => typeof arg === 'function' ? bindTo(owner, (...news: unknown[]) => fence.hasEnded ? undefined : (arg as Call)(...news)) : arg)
    const leave = await runAs(undefined, () => (subscribe as Call).apply(handle, heard) as Promise<() => Promise<void>>)
    if (fence.hasEnded) {
      await leave()
      fence.check()
    }
    const left = owner.account.open('subscriptions', nameOf(args[0]), leave)
    return async () => {
      left()
      await leave()
    }
  }
  return Object.assign(fenced, { [method]: fencedSubscribe })
}

/** A plugin may store the clients that a call receives, so they are behind the fence, too. */
function fenceApis (kubernetes: Kubernetes, holder: Grantee): Kubernetes {
  const fenced = fenceSubscriptions(kubernetes, holder, 'watch', target => (target as { path?: string } | undefined)?.path ?? 'a watch')
  const clients = new WeakMap<object, object>()
  const fence = (client: object): object => {
    const known = clients.get(client) ?? fenceHandle(client, holder)
    clients.set(client, known)
    return known
  }
  const { call } = fenced
  fenced.call = (request, options) => call(apis =>
    request(Object.fromEntries(Object.entries(apis).map(([name, client]) => [name, fence(client as object)])) as unknown as KubernetesApis), options)
  return fenced
}

/** The callbacks that re-seal are the plugin's own code, so their registration ends with the plugin. */
function fenceKeeping (encryption: Encryption, holder: Grantee): Encryption {
  const { fence, owner } = holder
  const fenced = fenceHandle(encryption, holder, { dead: refuse })
  fenced.keeps = (name, { pending, rewrap }) => {
    fence.check()
    const forget = encryption.keeps(name, { pending: bindTo(owner, pending), rewrap: bindTo(owner, rewrap) })
    const forgetEnd = fence.onEnd(forget)
    return () => {
      forgetEnd()
      forget()
    }
  }
  return fenced
}

export function createHandle<Name extends keyof Resources> (name: Name, handle: Resources[Name], holder: Grantee): Resources[Name] {
  if (name === 'postgres') return fenceTransactions(handle as Postgres, holder) as Resources[Name]
  if (name === 'valkey') return fenceSubscriptions(handle as Valkey, holder, 'subscribe', String) as Resources[Name]
  if (name === 'kubernetes') return fenceApis(handle as Kubernetes, holder) as Resources[Name]
  if (name === 'encryption') return fenceKeeping(handle as Encryption, holder) as Resources[Name]
  return fenceHandle(handle, holder, name === 'host' ? { dead: refuse } : {})
}
