// Checks rules that span several settings, and the additional rules for production.

import type { Settings } from './schema.ts'
import { leavesOf, wantsOf, type Row, type Tree } from './load.ts'
import { fileVariable } from './secret-file.ts'

/** The part of the grace period that is reserved for the last log lines and the exit itself. */
const exitMarginMs = 1_000

/** Checks that a stop fits into the grace period. Kubernetes kills the process when the grace period is over. */
export function checkBudgets ({ drainWaitMs, drainMs, stopMs, graceMs }: Settings['budgets']): string[] {
  const sumMs = drainWaitMs + drainMs + stopMs + exitMarginMs
  return sumMs <= graceMs ? [] : [
    `budgets: PLATFORM_DRAIN_WAIT_MS ${drainWaitMs} + PLATFORM_DRAIN_BUDGET_MS ${drainMs} + PLATFORM_STOP_BUDGET_MS ${stopMs} + ${exitMarginMs} ` +
    `to exit is ${sumMs} ms, more than PLATFORM_GRACE_MS ${graceMs}; shorten them, or raise it with terminationGracePeriodSeconds`
  ]
}

/**
 * The minimum of `archive.auditDays`, in days. Recent audit entries must stay searchable, and the database refuses to
 * release younger ones, too.
 */
const auditDaysMin = 30

export const checkArchive = ({ auditDays }: Settings['archive']): string[] => auditDays === 0 || auditDays >= auditDaysMin ? [] : [
  `archive.auditDays: PLATFORM_ARCHIVE_AUDIT_DAYS ${auditDays} is too few; write ${auditDaysMin} or more, or 0 to keep the audit log in the database`
]

/** Checks the connection pool. The host's own connections are a part of the pool, and plugins need at least one. */
export const checkPool = ({ poolMax, hostConnections }: Settings['postgres']): string[] => hostConnections === 0 || hostConnections < poolMax ? [] : [
  `postgres.hostConnections: DATABASE_HOST_CONNECTIONS ${hostConnections} leaves plugins none of the ${poolMax} connections of DATABASE_POOL_MAX; ` +
  'write fewer, or 0 for a fifth'
]

/**
 * Checks that the storage is configured completely or not at all. A partial configuration would silently use a folder,
 * or fail at the first object.
 */
export function checkStorage ({ endpoint, accessKey, secretKey }: Settings['storage']): string[] {
  const parts = Object.entries({ MINIO_ENDPOINT: endpoint, MINIO_ACCESS_KEY: accessKey, MINIO_SECRET_KEY: secretKey })
  const missing = parts.filter(([, value]) => value === '').map(([env]) => env)
  return missing.length === 0 || missing.length === parts.length ? [] : [
    `storage: ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not set; set all of ${parts.map(([env]) => env).join(', ')}, or none for a folder`
  ]
}

/** Passwords that attackers try first. The comparison ignores digits and punctuation at the end. */
const knownPasswords = new Set([
  '', 'admin', 'administrator', 'bulkhead', 'changeme', 'change-me', 'letmein', 'password', 'passw0rd', 'platform', 'qwertyuiop', 'secret', 'welcome'
])

/**
 * Checks the settings for production: it reports required settings that are empty, and values that only development may
 * use.
 */
export function checkProduction ({ storage, masterKey, admin }: Settings, schema: Tree, rows: readonly Row[]): string[] {
  const unset = new Set(rows.filter(({ value }) => value === '').map(({ name }) => name))
  const missing = leavesOf(schema).flatMap(([name, setting]) => setting.production === 'required' && unset.has(name)
    ? [`${name}: ${setting.env ?? ''} is not set; production needs ${wantsOf(setting)}${setting.sensitive === true ? `. ${fileVariable(setting.env ?? '')} may name a file that holds it` : ''}`] : [])
  const weak = [
    ...[storage.accessKey, storage.secretKey].includes('minioadmin') ? ['storage: MINIO_ACCESS_KEY and MINIO_SECRET_KEY must not be MinIO\'s defaults in production; make a key pair'] : [],
    ...Object.entries({ PLATFORM_MASTER_KEY: masterKey.current, PLATFORM_MASTER_KEY_PREVIOUS: masterKey.previous })
      .flatMap(([env, key]) => /^(.{1,16})\1+$/.test(key) ? [`masterKey: ${env} repeats itself; production needs random digits, as \`openssl rand -hex 32\` makes them`] : []),
    ...admin.password !== '' && knownPasswords.has(admin.password.toLowerCase().replace(/(?<![\d!?.])[\d!?.]+$/, ''))
      ? ['admin.password: PLATFORM_ADMIN_PASSWORD is one that anybody would try first; production needs another'] : []
  ]
  return [...missing, ...weak]
}
