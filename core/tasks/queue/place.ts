// Limits how many connections of a pool bulk work uses, so that urgent work finds a free one. Each piece of bulk work takes a place first;
// when no place is free, plugins take turns.

import { ServiceUnavailable } from '../../contract/index.ts'

export interface Places {
  /** Runs `work` once a place is free, per plugin in the order of the calls. Throws `ServiceUnavailable` when no place was free within `waitMs`. */
  run<T> (plugin: string, work: () => Promise<T>): Promise<T>
}

export function createPlaces (count: number, waitMs: number): Places {
  let free = count
  /** Waiting calls by plugin, in the order of the plugins' turns. */
  const waiting = new Map<string, Set<() => void>>()

  const forget = (plugin: string, enter: () => void): void => {
    const own = waiting.get(plugin)
    own?.delete(enter)
    if (own?.size === 0) waiting.delete(plugin)
  }
  const take = async (plugin: string): Promise<void> => {
    if (free > 0) {
      free -= 1
      return
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        clearTimeout(timer)
        forget(plugin, enter)
        resolve()
      }
      const timer = setTimeout(() => {
        forget(plugin, enter)
        reject(new ServiceUnavailable('The task queue has more to do than it can at the moment. Try again later.', { retryAfterMs: waitMs }))
      }, waitMs)
      waiting.set(plugin, (waiting.get(plugin) ?? new Set()).add(enter))
    })
  }
  const pass = (): void => {
    const [turn] = waiting
    const [next] = turn?.[1] ?? []
    if (turn === undefined || next === undefined) {
      free += 1
      return
    }
    // The other plugins have their turns before the next turn of this one.
    const [plugin, own] = turn
    waiting.delete(plugin)
    if (own.size > 1) waiting.set(plugin, own)
    next()
  }
  return {
    run: async (plugin, work) => {
      await take(plugin)
      try {
        return await work()
      } finally {
        pass()
      }
    }
  }
}
