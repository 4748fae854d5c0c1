// How many connections fit below the process's limit of open files, beside what the host itself needs.

import { readFileSync } from 'node:fs'
import type { Log } from '../contract/index.ts'
import { probeConnectionsMax } from '../http/server/probes.ts'

/** Modules, logs, the loop's own descriptors, child processes and what plugins open. A host that serves on embedded defaults has 40. */
const filesReserve = 64
/** Valkey, storage, Kubernetes, the control socket, and what plugins fetch. */
const outsideReserve = 32
/** The host serves so many whatever the limit is: fewer than this is no service. */
const connectionsMin = 16
const connectionsMax = 10_000
/** With fewer than this a busy client or two can keep the others waiting. */
const connectionsEnough = 1_000

/** Undefined where it is not known or there is none. */
export function readOpenFilesLimit (): number | undefined {
  const { soft } = /^Max open files +(?<soft>\S+)/m.exec(readLimits())?.groups ?? {}
  const limit = Number(soft ?? reportedLimit())
  return Number.isSafeInteger(limit) ? limit : undefined
}

/** Linux has them as a file. */
function readLimits (): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

/** A report takes longer and is there on every system. */
function reportedLimit (): unknown {
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } }
  return userLimits?.open_files?.soft
}

/** `databaseConnections` are all that the host may open. Warns where the limit is low. */
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
