// Bounds how many connections a server has open. An idle connection gives way to a new one, so that idle ones lock nobody out.

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Log } from '../../contract/index.ts'

export interface ConnectionLimit {
  /** Applies to the connections of this server from now on. */
  watch (server: Server): void
  /** A request of the connection is under way, until `end` is called as often. */
  begin (socket: Socket): void
  end (socket: Socket): void
  /** How many requests of the connection are under way: a client may send further ones before the first is answered. */
  underWay (socket: Socket): number
}

export interface ConnectionLimitDeps {
  max: number
  /** How log lines name the port. */
  port: string
  log: Log
  /** Between two log lines. A minute by default. */
  tellEveryMs?: number
}

/** A burst of dropped connections is one number. */
const gatherMs = 1_000
/** The server accepts so many beyond the limit while connections that gave way are being closed. */
const margin = 8

export function createConnectionLimit ({ max, port, log, tellEveryMs = 60_000 }: ConnectionLimitDeps): ConnectionLimit {
  /** Counts the requests under way, by connection. */
  const busy = new Map<Socket, number>()
  /** Those without one, the longest idle first: nothing came yet, half a head did, or the last answer is out. */
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
