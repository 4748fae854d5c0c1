// Computes how many connections the host can accept within the process's limit of open files, beside the files that the host itself needs.

import { readFileSync } from 'node:fs'
import type { Log } from '../contract/index.ts'
import { probeConnectionsMax } from '../http/server/probes.ts'

/**
 * Files for modules, logs, the event loop's own descriptors, child processes and what plugins open. A host that serves on embedded defaults
 * has 40 open.
 */
const filesReserve = 64
/** Connections to Valkey, storage and Kubernetes, on the control socket, and for what plugins fetch. */
const outsideReserve = 32
/** The host serves at least this many connections whatever the limit is, because fewer would be no service. */
const connectionsMin = 16
const connectionsMax = 10_000
/** With fewer connections than this, one or two busy clients can keep the others waiting. */
const connectionsEnough = 1_000

/** Returns undefined when the limit is unknown or there is none. */
export function readOpenFilesLimit (): number | undefined {
  const { soft } = /^Max open files +(?<soft>\S+)/m.exec(readLimits())?.groups ?? {}
  const limit = Number(soft ?? reportedLimit())
  return Number.isSafeInteger(limit) ? limit : undefined
}

/** Reads the limits file of Linux; returns an empty text on other systems. */
function readLimits (): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

/** Takes the limit from a diagnostic report of Node, which takes longer but works on every system. */
function reportedLimit (): unknown {
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } }
  return userLimits?.open_files?.soft
}

/** Returns the number of connections to accept. `databaseConnections` is the most that the host may open. Warns when the limit is low. */
export function planConnections (limit: number | undefined, databaseConnections: number, log: Log): number {
  if (limit === undefined) return connectionsMax
  const reserve = filesReserve + outsideReserve + databaseConnections + probeConnectionsMax
  const fitting = Math.min(connectionsMax, Math.max(connectionsMin, limit - reserve))
  if (fitting < connectionsEnough) {
    log.warn({ openFilesMax: limit, reserved: reserve, maxConnections: fitting }, `this process may have only ${limit} files open, so it serves at most ${fitting} connections at a time ` +
      `(${reserve} are reserved for the database, the probes and the host's own files). Raise the limit: "ulimit -n 65536", LimitNOFILE= in systemd, --ulimit nofile= in Docker.` +
      (limit - reserve < connectionsMin ? ' It is too low even for these.' : ''))
  }
  return fitting
}
