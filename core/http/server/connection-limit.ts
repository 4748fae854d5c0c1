// Limits how many connections a server has open. At the limit the oldest idle connection is closed for a new one, so
// that idle connections cannot lock clients out.

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Log } from '../../contract/index.ts'

export interface ConnectionLimit {
  /** Applies the limit to every connection that this server accepts from now on. */
  watch (server: Server): void
  /**
   * Counts a request under way on the connection. The connection is busy until `end` has been called as often as
   * `begin`.
   */
  begin (socket: Socket): void
  end (socket: Socket): void
  /**
   * Returns the number of requests under way on the connection. A client may send more before the first is answered
   * (pipelining).
   */
  underWay (socket: Socket): number
}

export interface ConnectionLimitDeps {
  max: number
  /** Name of the port in log lines. */
  port: string
  log: Log
  /** Shortest time between two log lines. A minute by default. */
  tellEveryMs?: number
}

/** Time for which closed connections are counted before the log line, so that a burst is logged as one number. */
const gatherMs = 1_000
/**
 * Connections that the server accepts beyond the limit, while the idle ones that were closed for them are still
 * closing.
 */
const margin = 8

export function createConnectionLimit ({ max, port, log, tellEveryMs = 60_000 }: ConnectionLimitDeps): ConnectionLimit {
  /** Number of requests under way for each busy connection. */
  const busy = new Map<Socket, number>()
  /**
   * Connections without a request under way, the longest idle first. On such a connection nothing has arrived yet, only
   * part of a request's head has arrived, or the last answer has been sent.
   */
  const idle = new Set<Socket>()
  const dropped = { idle: 0, refused: 0 }
  let timer: NodeJS.Timeout | undefined
  let toldAtMs = -Infinity

  const tell = (): void => {
    clearTimeout(timer)
    timer = undefined
    const { idle, refused } = dropped
    if (idle + refused === 0) return
    Object.assign(dropped, { idle: 0, refused: 0 })
    toldAtMs = performance.now()
    log.warn({ port, maxConnections: max, closedIdle: idle, refused }, `${idle + refused} connections to ${port} were closed, as at most ${max} are open at a time: ` +
      `${idle} idle ones to make room for new ones, and ${refused} new ones because a request was under way on every other. ` +
      'Allow the process more open files (ulimit -n), add replicas, or find out who opens so many.')
  }
  const count = (kind: keyof typeof dropped): void => {
    dropped[kind]++
    timer ??= setTimeout(tell, Math.max(gatherMs, toldAtMs + tellEveryMs - performance.now())).unref()
  }
  const makeRoom = (): boolean => {
    const [oldest] = idle
    if (oldest === undefined) return false
    idle.delete(oldest)
    oldest.destroy()
    count('idle')
    return true
  }

  return {
    watch (server) {
      server.maxConnections = max + margin
      server.on('drop', () => count('refused'))
      server.on('close', tell)
      server.on('connection', socket => {
        if (idle.size + busy.size >= max && !makeRoom()) {
          count('refused')
          socket.destroy()
          return
        }
        idle.add(socket)
        socket.once('close', () => { idle.delete(socket); busy.delete(socket) })
      })
    },
    begin (socket) {
      if (idle.delete(socket)) busy.set(socket, 1)
      else if (busy.has(socket)) busy.set(socket, (busy.get(socket) ?? 0) + 1)
    },
    underWay: socket => busy.get(socket) ?? 0,
    end (socket) {
      const left = (busy.get(socket) ?? 0) - 1
      if (left > 0) busy.set(socket, left)
      else if (busy.delete(socket) && !socket.destroyed) idle.add(socket)
    }
  }
}
