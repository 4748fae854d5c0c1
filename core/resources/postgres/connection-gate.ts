// Limits concurrent work on an outside system: in total, for each guest (plugin) and for each user of a guest. It also
// limits how many calls wait, and for how long.

import { pause } from '../../concurrency/loop.ts'
import { ServiceUnavailable } from '../../contract/index.ts'
import type { Clock } from '../../contract/index.ts'

export interface GateSettings {
  /** Name of the system behind the gate, for the error message: `the database`. */
  name: string
  limit: number
  /** Maximum number of waiting calls, for the host and for each guest separately. */
  queueMax: number
  waitMs: number
  /** Places that no guest gets; none by default. */
  hostReserve?: number
  /**
   * Maximum number of places that one guest gets while no other guest has any; by default all places that are not
   * reserved.
   */
  shareMax?: number
}

export interface Terms {
  /**
   * The user that the call is for. A user gets at most three quarters of a guest's share, so that no user keeps the
   * other users from a guest.
   */
  readonly user?: string | undefined
  /**
   * True for work that keeps its place for long. Of three places or more, the last one is for short work, which such
   * work may be waiting for.
   */
  readonly isLong?: boolean
}

export interface Entrance {
  /**
   * Runs `work` as soon as there is a place for it. Rejects with `ServiceUnavailable` when the queue is full, the wait
   * is too long, or the gate is shut.
   */
  run<T> (work: () => Promise<T>, terms?: Terms): Promise<T>
}

export interface Gate extends Entrance {
  /** `run` of the gate itself counts for the host; `run` of the result counts for the guest. */
  guest (id: string): Entrance
  /** Rejects waiting and new calls with the error from `refusal`, until `open`. Work that runs continues. */
  shut (refusal: () => Error): void
  open (): void
  /** Shuts the gate for good. */
  close (): void
  readonly running: number
  readonly waiting: number
}

interface Waiter { enter: () => void, refuse: (error: Error) => void, deadline: number, queue: Queue }
/** One queue for calls with equal rights: the same owner, user and length. */
interface Queue extends Terms { readonly owner: Owner, readonly waiters: Set<Waiter> }
interface Owner {
  /** The guest's ID; undefined for the host. */
  readonly id: string | undefined
  running: number
  runningLong: number
  waiting: number
  readonly byUser: Map<string, number>
  readonly queues: Map<string, Queue>
}

export function createGate ({ name, limit, queueMax, waitMs, hostReserve = 0, shareMax = limit - hostReserve }: GateSettings, clock: Clock): Gate {
  const guestLimit = limit - hostReserve
  const longMax = shareMax > 2 ? shareMax - 1 : shareMax
  const userMax = Math.max(1, Math.floor(shareMax * 3 / 4))
  // One place remains for another user's long work.
  const userLongMax = Math.max(1, Math.min(userMax, longMax - 1))
  const host = createOwner(undefined)
  let running = 0
  /** Waiting calls in order of arrival, which is also the order of their deadlines. */
  const waiters = new Set<Waiter>()
  /** Queues that hold waiting calls, in the order of their turns. */
  const queues = new Set<Queue>()
  let sweeping = false
  let refusal: (() => Error) | undefined
  const closed = new AbortController()

  const ended = () => new ServiceUnavailable(`No more calls to ${name} are possible: the host is stopping.`)
  const busy = (owner: Owner) => new ServiceUnavailable(`There are more calls to ${name} than it can take at the moment. Try again later.`, {
    retryAfterMs: waitMs, cause: new Error(describe(owner))
  })
  const describe = ({ id, running: own, waiting }: Owner): string => id === undefined
    ? `${running} of the ${limit} places for ${name} are in use, ${own} of them by the host itself, and ${waiting} more calls of the host wait for one`
    : `plugin "${id}" has ${own} of the ${shareMax} places for ${name} that are its share (fewer while other plugins have some), and ${waiting} more calls ` +
      `of it wait for one; ${running} of ${limit} places are in use`

  /**
   * Decides whether the owner may take a place now. The fewer places are free, the fewer a guest may have. A guest
   * alone gets `shareMax`, and one place is always left for a guest that has none, until as many guests as possible
   * have some.
   */
  function mayRun (owner: Owner, { user, isLong = false }: Terms): boolean {
    if (running >= limit) return false
    if (owner.id === undefined) return true
    const free = Math.min(limit - running, guestLimit - (running - host.running))
    if (free < 1 || owner.running >= shareMax) return false
    if (owner.running * (guestLimit - shareMax) >= shareMax * free) return false
    if (isLong && owner.runningLong >= longMax) return false
    return user === undefined || (owner.byUser.get(user) ?? 0) < (isLong ? userLongMax : userMax)
  }

  function begin (owner: Owner, { user, isLong = false }: Terms): void {
    running++
    owner.running++
    if (isLong) owner.runningLong++
    if (user !== undefined) owner.byUser.set(user, (owner.byUser.get(user) ?? 0) + 1)
  }

  function end (owner: Owner, { user, isLong = false }: Terms): void {
    running--
    owner.running--
    if (isLong) owner.runningLong--
    if (user !== undefined) {
      const left = (owner.byUser.get(user) ?? 0) - 1
      if (left > 0) owner.byUser.set(user, left)
      else owner.byUser.delete(user)
    }
    for (let queue = findNext(); queue !== undefined; queue = findNext()) admitFirst(queue)
  }

  function findNext (): Queue | undefined {
    if (running >= limit) return undefined
    if (host.running < hostReserve) for (const queue of host.queues.values()) return queue
    for (const queue of queues) if (mayRun(queue.owner, queue)) return queue
    return undefined
  }

  function admitFirst (queue: Queue): void {
    const [waiter] = queue.waiters
    if (waiter === undefined) return
    forget(waiter)
    // The other queues have their turns before the next turn of this one.
    if (queues.delete(queue)) queues.add(queue)
    begin(queue.owner, queue)
    waiter.enter()
  }

  function forget (waiter: Waiter): void {
    const { queue, queue: { owner } } = waiter
    waiters.delete(waiter)
    owner.waiting--
    queue.waiters.delete(waiter)
    if (queue.waiters.size > 0) return
    queues.delete(queue)
    owner.queues.delete(keyOf(queue))
  }

  // All calls may wait equally long, so the first to arrive is the first to give up. One timer, for the first waiting
  // call, is enough.
  async function sweep (): Promise<void> {
    sweeping = true
    for (let [first] = waiters; first !== undefined; [first] = waiters) {
      const leftMs = first.deadline - clock.now()
      if (leftMs > 0) await pause(clock, leftMs, closed.signal)
      else giveUp(first, busy(first.queue.owner))
    }
    sweeping = false
  }

  function giveUp (waiter: Waiter, error: Error): void {
    forget(waiter)
    waiter.refuse(error)
  }

  function enter (owner: Owner, terms: Terms): Promise<void> | undefined {
    if (refusal !== undefined) throw refusal()
    const key = owner.waiting > 0 ? keyOf(terms) : ''
    if ((owner.waiting === 0 || !owner.queues.has(key)) && mayRun(owner, terms)) { begin(owner, terms); return undefined }
    if (owner.waiting >= queueMax) throw busy(owner)
    return new Promise((resolve, reject) => {
      const queue = owner.queues.get(key) ?? { ...terms, owner, waiters: new Set<Waiter>() }
      const waiter: Waiter = { enter: resolve, refuse: reject, deadline: clock.now() + waitMs, queue }
      owner.queues.set(keyOf(terms), queue)
      queues.add(queue)
      queue.waiters.add(waiter)
      waiters.add(waiter)
      owner.waiting++
      if (!sweeping) void sweep()
    })
  }

  async function run<T> (owner: Owner, work: () => Promise<T>, terms: Terms): Promise<T> {
    const turn = enter(owner, terms)
    if (turn !== undefined) await turn
    try { return await work() } finally { end(owner, terms) }
  }

  function shut (why: () => Error): void {
    if (closed.signal.aborted) return
    refusal = why
    for (const waiter of waiters) giveUp(waiter, why())
  }

  return {
    run: (work, terms = none) => run(host, work, terms),
    guest (id) {
      const owner = createOwner(id)
      return { run: (work, terms = none) => run(owner, work, terms) }
    },
    shut,
    open () { if (!closed.signal.aborted) refusal = undefined },
    close () {
      shut(ended)
      closed.abort()
    },
    get running () { return running },
    get waiting () { return waiters.size }
  }
}

const none: Terms = {}

const createOwner = (id: string | undefined): Owner => ({ id, running: 0, runningLong: 0, waiting: 0, byUser: new Map(), queues: new Map() })

const keyOf = ({ user = '', isLong = false }: Terms): string => `${isLong ? 'long' : 'short'} ${user}`
