// Bounds how much work an outside system is given at once: in all, for each guest and for each user of one; how much may wait, and for how long.

import { ServiceUnavailable } from '../../contract/index.ts'
import type { Clock } from '../../contract/index.ts'

export interface GateSettings {
  /** What is behind it, for the refusal: `the database`. */
  name: string
  limit: number
  /** Applies to the host, and to each guest. */
  queueMax: number
  waitMs: number
  /** Places that no guest gets. None by default. */
  hostReserve?: number
  /** Places that one guest gets at most, while no other guest has any. All that are not reserved by default. */
  shareMax?: number
}

export interface Terms {
  /** A user gets three quarters of a guest's share at most, so that no user keeps the others from a guest. */
  readonly user?: string | undefined
  /** Of work that keeps its place for long: of three places or more, the last is for what is short, which such work may be waiting for. */
  readonly isLong?: boolean
}

export interface Entrance {
  /** Runs `work` as soon as there is a place for it; `ServiceUnavailable` when the queue is full, the wait too long, or the gate shut. */
  run<T> (work: () => Promise<T>, terms?: Terms): Promise<T>
}

export interface Gate extends Entrance {
  /** `run` of the gate itself is the host's; what goes through this counts for the guest. */
  guest (id: string): Entrance
  /** Refuses what waits and what comes with what `refusal` gives, until `open`; what runs goes on. */
  shut (refusal: () => Error): void
  open (): void
  /** Shut for good. */
  close (): void
  readonly running: number
  readonly waiting: number
}

interface Waiter { enter: () => void, refuse: (error: Error) => void, deadline: number, queue: Queue }
/** One for what has equal rights: the same owner, user and length. */
interface Queue extends Terms { readonly owner: Owner, readonly waiters: Set<Waiter> }
interface Owner {
  /** Undefined for the host. */
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
  // Another user's long work finds a place, too.
  const userLongMax = Math.max(1, Math.min(userMax, longMax - 1))
  const host = createOwner(undefined)
  let running = 0
  /** In the order in which they came, which is that of their deadlines, too. */
  const waiters = new Set<Waiter>()
  /** Those in which something waits, in the order of their turns. */
  const queues = new Set<Queue>()
  let sweeping = false
  let refusal: (() => Error) | undefined
  const closed = new AbortController()

  const ended = () => new ServiceUnavailable(`There is no way to ${name} any more: the host is stopping.`)
  const busy = (owner: Owner) => new ServiceUnavailable(`There is more to do for ${name} than it can do at the moment. Try again later.`, {
    retryAfterMs: waitMs, cause: new Error(describe(owner))
  })
  const describe = ({ id, running: own, waiting }: Owner): string => id === undefined
    ? `${running} of the ${limit} places for ${name} are in use, ${own} of them by the host itself, and ${waiting} more calls of the host wait for one`
    : `plugin "${id}" has ${own} of the ${shareMax} places for ${name} that are its share (fewer while other plugins have some), and ${waiting} more calls ` +
      `of it wait for one; ${running} of ${limit} places are in use`

  /**
   * The fewer places are free, the fewer a guest may have: alone it gets `shareMax`, and there is always one left for a guest that has none, until
   * as many guests as possible have some.
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
    // The others have their turns before its next.
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

  // Everyone may wait equally long, so the first to come is the first to give up: one timer, for the first of all who wait.
  async function sweep (): Promise<void> {
    sweeping = true
    for (let [first] = waiters; first !== undefined; [first] = waiters) {
      const leftMs = first.deadline - clock.now()
      if (leftMs > 0) await clock.sleep(leftMs, closed.signal).catch(() => { /* closed: nobody waits */ })
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
