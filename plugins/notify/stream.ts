// Sends new notifications of a person as server-sent events to all of that person's open clients, in every replica.

import { Readable } from 'node:stream'
import { TooManyRequests, type Access, type Log, type RequestContext, type User } from 'bulkhead'
import type { Inbox } from './inbox.ts'

export interface Streams {
  /**
   * Opens a stream. `after` is the number of the last notification that the client has; by default only new ones are
   * sent.
   */
  open (ctx: Pick<RequestContext, 'ending'>, user: User, after: number | undefined): Promise<Readable>
  /** Tells the streams that this person's inbox has changed. */
  wake (userId: string): void
  /** Sends a heartbeat to every client, and ends the streams of users who are no longer signed in. */
  beat (): Promise<void>
}

interface Stream {
  readonly user: User
  readonly body: Readable
  seq: number
  unread: number | undefined
  /** True when there may be something to send. */
  isDue: boolean
  isPumping: boolean
  /** True while the client reads more slowly than the stream writes. */
  isFull: boolean
  /** The number of consecutive heartbeats at which `isFull` was true. */
  fullFor: number
  /** True once nothing more is written to the stream. */
  isOver: boolean
}

/** The maximum number of open streams of one person in one replica. */
const streamsMax = 10
const pageSize = 100
const fullForMax = 4
const bufferBytes = 64 * 1024

export function createStreams ({ inbox, access, log }: { inbox: Inbox, access: Access, log: Log }): Streams {
  const open = new Map<string, Set<Stream>>()

  const push = (stream: Stream, text: string): void => { if (!stream.body.push(text)) stream.isFull = true }
  const end = (stream: Stream): void => {
    if (stream.isOver) return
    stream.isOver = true
    stream.body.push(null)
  }

  /**
   * Sends what is new. It always reads from the database, because the broadcast that triggered it may be late,
   * duplicated or lost.
   */
  const pump = async (stream: Stream): Promise<void> => {
    if (stream.isPumping) return
    stream.isPumping = true
    const { id: userId } = stream.user
    try {
      while (stream.isDue && !stream.isFull && !isOver(stream)) {
        stream.isDue = false
        const entries = await inbox.after(userId, stream.seq, pageSize)
        const unread = await inbox.unread(userId)
        if (isOver(stream)) return
        for (const { seq, entry } of entries) {
          push(stream, `id: ${seq}\nevent: notification\ndata: ${JSON.stringify(entry)}\n\n`)
          stream.seq = seq
        }
        if (entries.length === pageSize) stream.isDue = true
        if (unread !== stream.unread) push(stream, `event: unread\ndata: {"unread":${unread}}\n\n`)
        stream.unread = unread
      }
    } catch (err) {
      stream.isDue = true
      log.warn({ err }, 'a notification stream could not be continued; the host retries with the next beat')
    } finally {
      stream.isPumping = false
    }
  }
  const look = (stream: Stream): void => {
    stream.isDue = true
    void pump(stream)
  }

  return {
    async open ({ ending }, user, after) {
      const own = open.get(user.id) ?? new Set()
      if (own.size >= streamsMax) throw new TooManyRequests(`You have ${streamsMax} streams open here; end one first.`, { retryAfterMs: 10_000 })
      const read = (): void => {
        stream.isFull = false
        stream.fullFor = 0
        void pump(stream)
      }
      const body = new Readable({ highWaterMark: bufferBytes, read })
      const stream: Stream = { user, body, seq: 0, unread: undefined, isDue: false, isPumping: false, isFull: false, fullFor: 0, isOver: false }
      // The stream is counted before the first await, so that concurrent requests cannot exceed the limit.
      open.set(user.id, own.add(stream))
      const forget = (): void => {
        stream.isOver = true
        own.delete(stream)
        if (own.size === 0 && open.get(user.id) === own) open.delete(user.id)
      }
      body.once('close', forget)
      try {
        const last = await inbox.lastSeq(user.id)
        stream.seq = after === undefined ? last : Math.min(after, last)
      } catch (error) {
        forget()
        throw error
      }
      push(stream, 'retry: 3000\n\n')
      if (ending.aborted) end(stream)
      else ending.addEventListener('abort', () => end(stream), { once: true })
      look(stream)
      return body
    },
    wake: userId => { for (const stream of open.get(userId) ?? []) look(stream) },
    async beat () {
      const all = [...open.values()].flatMap(streams => [...streams])
      for (const stream of all) {
        if (stream.isFull && ++stream.fullFor > fullForMax) stream.body.destroy()
        else if (!stream.isFull && !stream.isOver) push(stream, ': still here\n\n')
      }
      for (const stream of all) {
        const isSignedIn = await access.isSignedIn(stream.user).catch((err: unknown) => {
          // While the database is unavailable, users who were signed in at the last heartbeat stay connected.
          log.debug({ err }, 'the follower of a notification stream could not be looked up')
          return undefined
        })
        if (isSignedIn === false) end(stream)
        else if (isSignedIn === true) look(stream)
      }
    }
  }
}

/**
 * Tells whether the stream has ended. A function reads the state again after each await; TypeScript would otherwise
 * assume that it has not changed.
 */
const isOver = (stream: Stream): boolean => stream.isOver
