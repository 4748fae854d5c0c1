// Bounds how much work an outside system is given at once, how much may wait, and for how long.

import type { Clock } from '../contract/index.ts'
import { ServiceUnavailable } from '../contract/index.ts'

export interface GateSettings {
  /** What is behind it, for the refusal: `the database`. */
  name: string
  limit: number
  queueMax: number
  waitMs: number
}

export interface Gate {
  /** Runs `work` as soon as fewer than `limit` run; `ServiceUnavailable` when the queue is full, the wait too long, or the gate shut. */
  run<T> (work: () => Promise<T>): Promise<T>
  /** Refuses what waits and what comes with what `refusal` gives, until `open`; what runs goes on. */
  shut (refusal: () => Error): void
  open (): void
  /** Shut for good. */
  close (): void
  readonly running: number
  readonly waiting: number
}

interface Waiter { enter: () => void, refuse: (error: Error) => void, deadline: number, next: Waiter | undefined }

export function createGate ({ name, limit, queueMax, waitMs }: GateSettings, clock: Clock): Gate {
  let running = 0
  let waiting = 0
  let first: Waiter | undefined
  let last: Waiter | undefined
  let sweeping = false
  let refusal: (() => Error) | undefined
  const closed = new AbortController()

  const busy = () => new ServiceUnavailable(`There is more to do for ${name} than it can do at the moment. Try again later.`, { retryAfterMs: waitMs })
  const ended = () => new ServiceUnavailable(`There is no way to ${name} any more: the host is stopping.`)

  function takeFirst (): Waiter | undefined {
    const waiter = first
    if (waiter === undefined) return undefined
    first = waiter.next
    if (first === undefined) last = undefined
    waiting--
    return waiter
  }

  // Everyone may wait equally long, so the first to come is the first to give up: one timer, for the head of the queue.
  async function sweep (): Promise<void> {
    sweeping = true
    while (first !== undefined) {
      const leftMs = first.deadline - clock.now()
      if (leftMs > 0) await clock.sleep(leftMs, closed.signal).catch(() => { /* closed: nobody waits */ })
      else takeFirst()?.refuse(busy())
    }
    sweeping = false
  }

  function enter (): Promise<void> | undefined {
    if (refusal !== undefined) throw refusal()
    if (running < limit) { running++; return undefined }
    if (waiting >= queueMax) throw busy()
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { enter: resolve, refuse: reject, deadline: clock.now() + waitMs, next: undefined }
      if (last === undefined) first = waiter
      else last.next = waiter
      last = waiter
      waiting++
      if (!sweeping) void sweep()
    })
  }

  // A place that becomes free passes to the one who waits; `running` stays.
  function leave (): void {
    const waiter = takeFirst()
    if (waiter === undefined) running--
    else waiter.enter()
  }

  function shut (why: () => Error): void {
    if (closed.signal.aborted) return
    refusal = why
    for (let waiter = takeFirst(); waiter !== undefined; waiter = takeFirst()) waiter.refuse(why())
  }

  return {
    async run (work) {
      const turn = enter()
      if (turn !== undefined) await turn
      try { return await work() } finally { leave() }
    },
    shut,
    open () { if (!closed.signal.aborted) refusal = undefined },
    close () {
      shut(ended)
      closed.abort()
    },
    get running () { return running },
    get waiting () { return waiting }
  }
}
