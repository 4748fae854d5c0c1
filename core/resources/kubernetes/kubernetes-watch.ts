// Keeps up with the objects of a cluster: lists them, follows their changes, and begins again wherever that breaks.

import { DeadlinePassed, withDeadline } from '../../concurrency/deadline.ts'
import { ServiceUnavailable } from '../../contract/index.ts'
import type { Clock, Kubernetes, KubernetesChange, KubernetesObject, Log } from '../../contract/index.ts'
import type { Pulse } from '../pulse.ts'
import { isAnswer, retryAfter } from './kubernetes-error.ts'
import { KnownObjects } from './kubernetes-known.ts'
import { linesOf, pathOf, WatchRefused } from './kubernetes-stream.ts'
import type { List, WatchEvent } from './kubernetes-stream.ts'

export interface WatchParts {
  /** A GET below the cluster's address; rejects when the answer is no success. */
  readonly get: (path: string, signal: AbortSignal) => Promise<{ text (): Promise<string>, stream (): ReadableStream<Uint8Array> | null }>
  readonly pulse: Pulse
  readonly clock: Clock
  readonly log: Log
  /** For one page of a list. */
  readonly deadlineMs: number
  /**
   * The server ends each watch in order after so long, in whole seconds; so one that goes on longer is dead, however quiet it has to be.
   * A cluster that is silent altogether is noticed much sooner, by its pulse.
   */
  readonly roundMs: number
}

const graceMs = 2_000
const pageSize = 500
const pause = { firstMs: 100, longestMs: 700, refusedMs: 10_000 }
/** What breaks sooner was not well to begin with. */
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
  /** Up to where the changes have been handed over; undefined when only a list can tell. */
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
      // Its return is waited for, and then nothing more.
      if (pulse.isSilent) continue
      const isOrderly = error === undefined && this.#failures === 0
      if (!isOrderly) await clock.sleep(this.#pauseMs(error), signal).catch(() => { /* The end. */ })
    }
  }

  #heed (error: unknown): void {
    if (error === undefined) return
    // Whatever it answered to the version, only a list can tell what holds now; too many requests is no word about the version.
    if (isAnswer(error) && error.code !== 429) this.#version = undefined
    // A version that is gone is nothing to worry about.
    if (this.#hasComplained || (isAnswer(error) && error.code === 410)) return
    this.#hasComplained = true
    this.#parts.log.warn({ err: error, path: this.#path({}) }, 'a watch of the Kubernetes cluster broke; it is taken up again')
  }

  #pauseMs (error: unknown): number {
    // One that refuses may do so for good; one that is away, overloaded or starting should be found soon after its return.
    const isRefusal = isAnswer(error) && error.code < 500 && ![410, 429].includes(error.code)
    const ms = Math.min(pause.firstMs * 2 ** this.#failures++, isRefusal ? pause.refusedMs : pause.longestMs)
    const asked = isAnswer(error) ? retryAfter(error).retryAfterMs ?? 0 : 0
    return Math.max(ms * (0.5 + Math.random() / 2), asked)
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
        // What every item is, the list says once.
        const { apiVersion, kind } = page
        for (const item of page.items) present.push({ apiVersion, kind: kind.replace(/List$/, ''), ...item })
      } while ((page.metadata.continue ?? '') !== '')
    } finally {
      pulse.end()
    }
    await this.#tell(this.#known.replace(present))
    this.#version = page.metadata.resourceVersion
  }

  /** Resolves when the server has ended the watch in order. */
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
      // Also when it is left in the midst of a line.
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
