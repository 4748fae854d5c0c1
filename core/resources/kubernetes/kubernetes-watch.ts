// Follows the objects of a cluster: lists them, watches their changes, and starts again whenever that breaks.

import { backOff } from '../../concurrency/back-off.ts'
import { DeadlinePassed, withDeadline } from '../../concurrency/deadline.ts'
import { pause } from '../../concurrency/loop.ts'
import { ServiceUnavailable } from '../../contract/index.ts'
import type { Clock, Kubernetes, KubernetesChange, KubernetesObject, Log } from '../../contract/index.ts'
import type { Pulse } from '../pulse.ts'
import { isAnswer, retryAfter } from './kubernetes-error.ts'
import { KnownObjects } from './kubernetes-known.ts'
import { linesOf, pathOf, WatchRefused } from './kubernetes-stream.ts'
import type { List, WatchEvent } from './kubernetes-stream.ts'

export interface WatchParts {
  /** Sends a GET below the cluster's address; rejects when the answer is not a success. */
  readonly get: (path: string, signal: AbortSignal) => Promise<{ text (): Promise<string>, stream (): ReadableStream<Uint8Array> | null }>
  readonly pulse: Pulse
  readonly clock: Clock
  readonly log: Log
  /** Time limit for one page of a list. */
  readonly deadlineMs: number
  /**
   * The server ends each watch regularly after this time, in whole seconds. A watch that goes on longer is therefore
   * dead, even when no changes are expected. The pulse notices much sooner when the cluster is completely silent.
   */
  readonly roundMs: number
}

const graceMs = 2_000
const pageSize = 500
const retryPause = { firstMs: 100, maxMs: 700, jitter: 0.5 }
const refusedPause = { ...retryPause, maxMs: 10_000 }
/** A watch that breaks sooner than this counts as one that never worked. */
const soundAfterMs = 1_000

type Handler = (change: KubernetesChange) => void | Promise<void>

export class Watches {
  readonly #parts: WatchParts
  readonly #open = new Set<Watch>()

  constructor (parts: WatchParts) {
    this.#parts = parts
  }

  readonly watch: Kubernetes['watch'] = async (target, handler) => {
    const watch = new Watch(this.#parts, pathOf(target), handler as Handler)
    this.#open.add(watch)
    const leave = async (): Promise<void> => {
      this.#open.delete(watch)
      watch.end()
    }
    try {
      await watch.begin()
    } catch (error) {
      await leave()
      throw error
    }
    return leave
  }

  close (): void {
    for (const watch of this.#open) watch.end()
    this.#open.clear()
  }
}

class Watch {
  readonly #parts: WatchParts
  readonly #path: (query: Record<string, string>) => string
  readonly #handler: Handler
  readonly #ending = new AbortController()
  readonly #known = new KnownObjects()
  /** The version up to which changes have been handed over; undefined when only a list can tell the current state. */
  #version: string | undefined
  #failures = 0
  #hasComplained = false

  constructor (parts: WatchParts, path: (query: Record<string, string>) => string, handler: Handler) {
    this.#parts = parts
    this.#path = path
    this.#handler = handler
  }

  async begin (): Promise<void> {
    await this.#list()
    void this.#keepUp()
  }

  end (): void {
    this.#ending.abort(new ServiceUnavailable('The watch has been left, or the host is stopping.'))
    this.#known.clear()
  }

  #hasEnded (): boolean {
    return this.#ending.signal.aborted
  }

  async #keepUp (): Promise<void> {
    const { clock, pulse } = this.#parts
    const { signal } = this.#ending
    while (!this.#hasEnded()) {
      let since = clock.now()
      let error: unknown
      try {
        await pulse.whenBack(signal)
        since = clock.now()
        if (this.#version === undefined) await this.#list()
        await this.#follow()
      } catch (cause) {
        error = cause
      }
      if (this.#hasEnded()) return
      if (clock.now() - since >= soundAfterMs) {
        this.#failures = 0
        this.#hasComplained = false
      }
      this.#heed(error)
      // The loop then waits for the return of the cluster, and needs no other pause.
      if (pulse.isSilent) continue
      const isOrderly = error === undefined && this.#failures === 0
      if (!isOrderly) await pause(clock, this.#pauseMs(error), signal)
    }
  }

  #heed (error: unknown): void {
    if (error === undefined) return
    // After any error answer to the version, only a list can tell the current state. Status 429 (too many requests)
    // says nothing about the version.
    if (isAnswer(error) && error.code !== 429) this.#version = undefined
    // An expired version (410) is normal and needs no warning.
    if (this.#hasComplained || (isAnswer(error) && error.code === 410)) return
    this.#hasComplained = true
    this.#parts.log.warn({ err: error, path: this.#path({}) }, 'a watch of the Kubernetes cluster broke; the host resumes it')
  }

  #pauseMs (error: unknown): number {
    // A cluster that refuses may do so for good, so the pause may grow long. The return of a cluster that is
    // unavailable, overloaded or starting should be noticed soon.
    const isRefusal = isAnswer(error) && error.code < 500 && ![410, 429].includes(error.code)
    const asked = isAnswer(error) ? retryAfter(error).retryAfterMs ?? 0 : 0
    return Math.max(backOff(++this.#failures, isRefusal ? refusedPause : retryPause), asked)
  }

  async #list (): Promise<void> {
    const { pulse, get, deadlineMs } = this.#parts
    const signal = AbortSignal.any([this.#ending.signal, pulse.signal])
    const present: KubernetesObject[] = []
    let page: List | undefined
    pulse.begin()
    try {
      do {
        const path = this.#path({ limit: String(pageSize), ...page?.metadata.continue !== undefined && { continue: page.metadata.continue } })
        page = await withDeadline(deadlineMs, async inTime => JSON.parse(await (await get(path, inTime)).text()) as List, signal)
        // The list gives `apiVersion` and `kind` once, not for each item.
        const { apiVersion, kind } = page
        for (const item of page.items) present.push({ apiVersion, kind: kind.replace(/List$/, ''), ...item })
      } while ((page.metadata.continue ?? '') !== '')
    } finally {
      pulse.end()
    }
    await this.#tell(this.#known.replace(present))
    this.#version = page.metadata.resourceVersion
  }

  /** Resolves when the server has ended the watch regularly, or when the watcher has left. */
  async #follow (): Promise<void> {
    const { pulse, get, roundMs } = this.#parts
    const overdue = new AbortController()
    const timer = setTimeout(() => overdue.abort(new DeadlinePassed(roundMs + graceMs)), roundMs + graceMs)
    const signal = AbortSignal.any([this.#ending.signal, pulse.signal, overdue.signal])
    try {
      const path = this.#path({
        watch: 'true', allowWatchBookmarks: 'true', timeoutSeconds: String(roundMs / 1_000), resourceVersion: this.#version ?? ''
      })
      pulse.begin()
      const body = await get(path, signal).finally(() => pulse.end())
      for await (const line of linesOf(body.stream())) {
        pulse.beat()
        const { type, object } = JSON.parse(line) as WatchEvent
        if (type === 'ERROR') throw new WatchRefused(object)
        if (type === 'DELETED') await this.#tell(this.#known.remove(object))
        else if (type !== 'BOOKMARK') await this.#tell(this.#known.put(object))
        if (this.#hasEnded()) return
        this.#version = object.metadata.resourceVersion
      }
    } finally {
      clearTimeout(timer)
      // The abort also ends an answer that is abandoned in the middle of a line.
      overdue.abort()
    }
  }

  async #tell (changes: KubernetesChange[]): Promise<void> {
    for (const change of changes) {
      if (this.#hasEnded()) return
      try {
        await this.#handler(change)
      } catch (err) {
        const { kind, metadata: { namespace, name } } = change.object
        this.#parts.log.error({ err, kind, namespace, name, change: change.type }, 'a watcher failed on a change')
      }
    }
  }
}
