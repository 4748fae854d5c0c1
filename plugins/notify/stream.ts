// Server-sent events: what comes into a person's inbox, told to whoever of theirs is listening, on whichever replica.

import { Readable } from 'node:stream'
import { TooManyRequests, type Access, type Log, type RequestContext, type User } from 'bulkhead'
import type { Inbox } from './inbox.ts'

export interface Streams {
  /** `after`: the number of the last one that the client has; from now on unless said. */
  open (ctx: Pick<RequestContext, 'ending'>, user: User, after: number | undefined): Promise<Readable>
  /** This person's inbox has changed. */
  wake (userId: string): void
  /** Shows every client that it is still there, and ends the streams of those who are signed in no more. */
  beat (): Promise<void>
}

interface Stream {
  readonly user: User
  readonly body: Readable
  seq: number
  unread: number | undefined
  /** There may be something to send. */
  isDue: boolean
  isPumping: boolean
  /** The client does not read as fast as it is written to. */
  isFull: boolean
  /** Beats for which it has been so. */
  fullFor: number
  /** Nothing more is written to it. */
  isOver: boolean
}

/** Of one person, in one replica. */
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

  /** Always from the database: the news that woke it may be late, twice, or not come at all. */
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
      log.warn({ err }, 'a stream of notifications could not be carried on; it is tried again with the next beat')
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
      // Counted before anything is waited for.
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
          // The database is away: whoever was signed in a beat ago is let be until it can be asked.
          log.debug({ err }, 'who follows a stream of notifications could not be looked up')
          return undefined
        })
        if (isSignedIn === false) end(stream)
        else if (isSignedIn === true) look(stream)
      }
    }
  }
}

/** Asked anew after each wait. */
const isOver = (stream: Stream): boolean => stream.isOver
