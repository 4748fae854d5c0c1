// Leaves room in a pool of connections for those who must not wait: who comes in numbers takes a place first.

import { ServiceUnavailable } from '../contract/index.ts'

export interface Places {
  /** Runs `work` once a place is free; in the order in which they came. `ServiceUnavailable` when none was within the time. */
  run<T> (work: () => Promise<T>): Promise<T>
}

export function createPlaces (count: number, waitMs: number): Places {
  let free = count
  const waiting = new Set<() => void>()

  const take = async (): Promise<void> => {
    if (free > 0) {
      free -= 1
      return
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        clearTimeout(timer)
        waiting.delete(enter)
        resolve()
      }
      const timer = setTimeout(() => {
        waiting.delete(enter)
        reject(new ServiceUnavailable('The task queue has more to do than it can at the moment. Try again later.', { retryAfterMs: waitMs }))
      }, waitMs)
      waiting.add(enter)
    })
  }
  return {
    run: async work => {
      await take()
      try {
        return await work()
      } finally {
        const [next] = waiting
        if (next === undefined) free += 1
        else next()
      }
    }
  }
}
