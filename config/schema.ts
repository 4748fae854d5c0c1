// Declares every setting of the host once: its purpose, strict format, default, and the environment variable that sets
// it. The defaults suit development; `production.json` holds the differences for production.

import { join } from 'node:path'
import { closest, distance } from 'fastest-levenshtein'
import type { ConfigFields } from '../core/contract/index.ts'
import { checkDatabaseUrl } from './database-url.ts'
import { readContent } from './file.ts'
import { leavesOf, loadSection, secretVariablesOf, type Row, type Section, type Tree, type Values } from './load.ts'
import { loadPluginSection } from './plugin.ts'
import { checkArchive, checkBudgets, checkPool, checkProduction, checkStorage } from './rule.ts'
import { fileVariable } from './secret-file.ts'

const keyDoc = 'Encrypts what is secret in the database'

export const schema = {
  environment: { doc: 'Kind of installation: development, test or production', format: ['development', 'test', 'production'], default: 'development', env: 'NODE_ENV' },
  listen: { doc: 'Address and port of the API; port 0 takes a free one', format: 'address', default: '127.0.0.1:8080', env: 'PLATFORM_LISTEN' },
  probes: {
    port: { doc: 'Port of the probes /health, /live and /ready', format: 'port', default: 9000, env: 'LIGHTSHIP_PORT' }
  },
  postgres: {
    url: { doc: 'URL of PostgreSQL; empty: an embedded server', format: 'postgres url', default: '', env: 'DATABASE_URL', sensitive: true, production: 'required' },
    poolMax: { doc: 'Database connections of the host and all plugins together, those of tasks not included; at least 2', format: 'positive', default: 10, env: 'DATABASE_POOL_MAX' },
    hostConnections: { doc: 'Database connections among them that no plugin can take; 0: a fifth', format: 'nat', default: 0, env: 'DATABASE_HOST_CONNECTIONS' },
    pluginConnections: { doc: 'Largest share of the other connections for one plugin (smaller while other plugins use some); 0: half', format: 'nat', default: 0, env: 'DATABASE_PLUGIN_CONNECTIONS' },
    connectTimeoutMs: { doc: 'Longest time to open a database connection', format: 'milliseconds', default: 5_000, env: 'DATABASE_CONNECT_TIMEOUT_MS' },
    acquireTimeoutMs: { doc: 'Longest wait for a free database connection', format: 'milliseconds', default: 2_000, env: 'DATABASE_ACQUIRE_TIMEOUT_MS' },
    acquireQueueMax: { doc: 'Most calls of one plugin, or of the host, that may wait for a connection', format: 'nat', default: 1_000, env: 'DATABASE_ACQUIRE_QUEUE_MAX' },
    statementTimeoutMs: { doc: 'Longest time of one SQL statement', format: 'milliseconds', default: 30_000, env: 'DATABASE_STATEMENT_TIMEOUT_MS' }
  },
  valkey: {
    url: { doc: 'URL of Valkey; empty: the cache lives in the process', format: 'valkey url', default: '', env: 'VALKEY_URL', sensitive: true, production: 'required' },
    connectTimeoutMs: { doc: 'Longest time to open a connection to Valkey', format: 'milliseconds', default: 500, env: 'VALKEY_CONNECT_TIMEOUT_MS' },
    commandTimeoutMs: { doc: 'Longest time of one Valkey command', format: 'milliseconds', default: 500, env: 'VALKEY_COMMAND_TIMEOUT_MS' }
  },
  storage: {
    endpoint: { doc: 'URL of the S3 service; empty: a folder in the data folder', format: 'url', default: '', env: 'MINIO_ENDPOINT', production: 'required' },
    accessKey: { doc: 'S3 access key ID', format: 'string', default: '', env: 'MINIO_ACCESS_KEY', sensitive: true, production: 'required' },
    secretKey: { doc: 'S3 secret access key', format: 'string', default: '', env: 'MINIO_SECRET_KEY', sensitive: true, production: 'required' },
    bucket: { doc: 'S3 bucket that holds every object', format: 'bucket', default: 'platform', env: 'MINIO_BUCKET' },
    region: { doc: 'S3 region of the bucket', format: 'string', default: 'us-east-1', env: 'MINIO_REGION' },
    timeoutMs: { doc: 'Longest time of one call to the storage', format: 'milliseconds', default: 10_000, env: 'MINIO_TIMEOUT_MS' }
  },
  kubernetes: {
    kubeconfig: { doc: 'Path of the kubeconfig file; empty: the cluster the host runs in, if any', format: 'path', default: '', env: 'KUBECONFIG' }
  },
  masterKey: {
    current: { doc: keyDoc, format: 'key of 32 bytes', default: '', env: 'PLATFORM_MASTER_KEY', sensitive: true, production: 'required' },
    previous: { doc: 'Second key that decrypts and never encrypts: the previous one, or the next one, while the key is changed', format: 'key of 32 bytes', default: '', env: 'PLATFORM_MASTER_KEY_PREVIOUS', sensitive: true }
  },
  dataPath: { doc: 'Folder in which the host keeps files', format: 'path', default: '.data', env: 'PLATFORM_DATA_PATH' },
  gitReposPath: { doc: 'Folder of the bare Git repositories; empty: `repos` in the data folder', format: 'path', default: '', env: 'PLATFORM_GIT_REPOS_PATH' },
  admin: {
    name: { doc: 'Name of the first admin', format: 'user name', default: 'admin', env: 'PLATFORM_ADMIN_NAME' },
    email: { doc: 'E-mail address of the first admin; empty: its name @localhost', format: 'email', default: '', env: 'PLATFORM_ADMIN_EMAIL' },
    password: { doc: 'Password of the first admin; empty: a random one', format: 'password', default: '', env: 'PLATFORM_ADMIN_PASSWORD', sensitive: true }
  },
  plugins: {
    paths: { doc: 'Folders that hold plugins', format: 'paths', default: ['plugins'], env: 'PLATFORM_PLUGINS_PATH' },
    packages: { doc: 'npm packages that are plugins', format: 'list', default: [], env: 'PLATFORM_PLUGINS_PACKAGES' },
    disabled: { doc: 'Ids of plugins to leave out', format: 'list', default: [], env: 'PLATFORM_PLUGINS_DISABLED' },
    enabled: { doc: 'Ids of example plugins that run in production, too', format: 'list', default: [], env: 'PLATFORM_PLUGINS_ENABLED' },
    errorsMax: { doc: 'Most uncaught errors of a plugin within the window before it is quarantined', format: 'nat', default: 10, env: 'PLATFORM_PLUGINS_ERRORS_MAX' },
    errorWindowMs: { doc: 'Window in which uncaught errors are counted', format: 'milliseconds', default: 60_000, env: 'PLATFORM_PLUGINS_ERROR_WINDOW_MS' }
  },
  http: {
    secureCookies: { doc: 'Send cookies over HTTPS only', format: 'boolean', default: false, env: 'PLATFORM_SECURE_COOKIES' },
    trustProxyHops: { doc: 'Number of trusted proxies in front of the host, which report the client address', format: 'nat', default: 0, env: 'PLATFORM_TRUST_PROXY' },
    corsOrigins: { doc: 'Origins of other sites whose scripts may call the API', format: 'origins', default: [], env: 'PLATFORM_CORS_ORIGINS' },
    bodyLimitBytes: { doc: 'Largest body that a route may take; a public route takes 64 kB by default', format: 'positive', default: 10 * 1024 * 1024, env: 'PLATFORM_BODY_LIMIT_BYTES' },
    requestsPerUserMax: { doc: 'Most requests that one user may have under way; further ones are answered 429', format: 'positive', default: 64, env: 'PLATFORM_REQUESTS_PER_USER_MAX' },
    requestTimeoutMs: { doc: 'Longest time of one request', format: 'milliseconds', default: 30_000, env: 'PLATFORM_REQUEST_TIMEOUT_MS' }
  },
  egress: {
    allow: { doc: 'Exceptions: addresses outside the public internet that plugins may fetch from', format: 'egress exceptions', default: [], env: 'PLATFORM_EGRESS_ALLOW' }
  },
  access: {
    sessionIdleMs: { doc: 'Time without use after which a session ends', format: 'milliseconds', default: 8 * 3_600_000, env: 'PLATFORM_SESSION_IDLE_MS' }
  },
  tasks: {
    maxConnections: { doc: 'Database connections of tasks', format: 'positive', default: 4, env: 'PLATFORM_TASKS_MAX_CONNECTIONS' },
    historyHours: { doc: 'Hours for which finished jobs and dead letters are stored', format: 'positive', default: 72, env: 'PLATFORM_TASKS_HISTORY_HOURS' }
  },
  archive: {
    auditDays: { doc: 'Age in days at which entries of the audit log move into the storage; 0: never', format: 'nat', default: 0, env: 'PLATFORM_ARCHIVE_AUDIT_DAYS' },
    logDays: { doc: 'Age in days at which log lines in the database move into the storage; 0: never', format: 'nat', default: 30, env: 'PLATFORM_ARCHIVE_LOG_DAYS' }
  },
  budgets: {
    resourceStartMs: { doc: 'Budget to open a resource', format: 'milliseconds', default: 30_000, env: 'PLATFORM_RESOURCE_START_BUDGET_MS' },
    migrationMs: { doc: 'Budget to migrate the database, including the wait for another host that does', format: 'milliseconds', default: 600_000, env: 'PLATFORM_MIGRATION_BUDGET_MS' },
    pluginStartMs: { doc: 'Budget to start a plugin', format: 'milliseconds', default: 10_000, env: 'PLATFORM_PLUGIN_START_BUDGET_MS' },
    drainWaitMs: { doc: 'Wait until the load balancer has noticed that the host is not ready', format: 'nat', default: 0, env: 'PLATFORM_DRAIN_WAIT_MS' },
    drainMs: { doc: 'Budget to finish requests and jobs under way', format: 'milliseconds', default: 10_000, env: 'PLATFORM_DRAIN_BUDGET_MS' },
    stopMs: { doc: 'Budget to stop plugins and close resources', format: 'milliseconds', default: 10_000, env: 'PLATFORM_STOP_BUDGET_MS' },
    graceMs: { doc: 'Grace period: terminationGracePeriodSeconds of the pod, in milliseconds', format: 'milliseconds', default: 30_000, env: 'PLATFORM_GRACE_MS' }
  },
  log: {
    level: { doc: 'Lowest level that is logged', format: ['trace', 'debug', 'info', 'warn', 'error', 'fatal'], default: 'info', env: 'PLATFORM_LOG_LEVEL' },
    format: { doc: 'Format of the log; auto: pretty in a terminal, else JSON', format: ['auto', 'pretty', 'json'], default: 'pretty', env: 'PLATFORM_LOG_FORMAT' }
  }
} as const satisfies Tree

export type Settings = Values<typeof schema>

export interface Loaded {
  readonly settings: Settings
  /**
   * Returns every setting of the host in the order of the schema, then the settings of the plugins requested so far.
   */
  readonly describe: () => readonly Row[]
  /** Returns the values of sensitive settings, of the host and of the plugins requested so far. */
  readonly secrets: () => readonly string[]
  /**
   * Loads a plugin's own section. Later sources win: the defaults of its fields, then `plugins.config.<id>` of the
   * config file, then the environment variables that the fields name.
   */
  readonly pluginSettings: (plugin: { id: string, fields: ConfigFields }) => Section
  /** The plugin ids for which the config file has a section. */
  readonly configured: readonly string[]
  /** A sentence about each environment variable that looks like a setting but is none. */
  readonly notices: readonly string[]
}

/** Lists every problem with the settings. Each is one line that names the place, the problem and what is expected. */
export class InvalidSettings extends Error {
  readonly code = 'BULKHEAD_SETTINGS_INVALID'
  readonly problems: readonly string[]

  constructor (problems: readonly string[]) {
    super([problems.length === 1 ? 'One setting is wrong:' : `${problems.length} settings are wrong:`, ...problems].join('\n  '))
    this.name = 'InvalidSettings'
    this.problems = problems
  }
}

interface Where {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The folder that contains `<NODE_ENV>.json`. */
  readonly folder: string
  /** The folder to which relative paths in settings are relative. */
  readonly root: string
  /**
   * Called for each variable that holds a secret, or names its file, once the variable has been read. Later reads use a
   * copy.
   */
  readonly forget?: (variable: string) => void
}

/**
 * Loads the settings from the defaults, then the config file, then the environment; an empty variable counts as not
 * set. A secret comes from its variable, or from the file that `<VARIABLE>_FILE` names. Throws `InvalidSettings`.
 */
export function loadSettings ({ env: given, folder, root, forget = () => undefined }: Where): Loaded {
  const env = { ...given }
  const environment = schema.environment.format.find(name => name === env.NODE_ENV) ?? schema.environment.default
  const file = readContent(join(folder, `${environment}.json`), root, environment)
  const source = { env, root, file }
  const section = loadSection(schema, source)
  const { gitReposPath, ...rest } = section.values as Settings
  const postgres = { ...rest.postgres, url: withPassword(rest.postgres.url, env.PGPASSWORD) }
  const settings: Settings = { ...rest, postgres, gitReposPath: gitReposPath === '' ? join(rest.dataPath, 'repos') : gitReposPath }

  const problems = [
    ...file.problems, ...section.problems, ...checkBudgets(settings.budgets), ...checkArchive(settings.archive), ...checkPool(settings.postgres),
    ...checkDatabaseUrl(settings.postgres.url),
    ...environment === 'production' ? checkProduction(settings, schema, section.rows) : checkStorage(settings.storage)
  ]
  if (problems.length > 0) throw new InvalidSettings(problems)

  const rows = section.rows.map(row => row.name === 'gitReposPath' ? { ...row, value: settings.gitReposPath } : row)
  const plugins = new Map<string, Section>()
  // Values of former settings stay in it, because old errors may still repeat them.
  const secrets = [...section.secrets, ...env.PGPASSWORD ? [env.PGPASSWORD] : []]
  const secretVariables = secretVariablesOf(schema)
  const hostEnvs = new Set([...leavesOf(schema).map(([, { env }]) => env), ...secretVariables.map(fileVariable)])
  const forgetSecrets = (names: readonly string[]): void => names.flatMap(name => [name, fileVariable(name)]).forEach(forget)
  forgetSecrets([...secretVariables, 'PGPASSWORD'])
  return {
    settings,
    describe: () => [rows, ...[...plugins.values()].map(({ rows }) => rows)].flat(),
    secrets: () => secrets,
    pluginSettings: ({ id, fields }) => {
      const own = loadPluginSection({ id, fields, content: file.plugins[id] }, source, hostEnvs)
      plugins.set(id, own)
      secrets.push(...own.secrets.filter(secret => !secrets.includes(secret)))
      forgetSecrets(own.secretVariables)
      return own
    },
    configured: Object.keys(file.plugins),
    notices: findMisspelt(env, hostEnvs)
  }
}

/**
 * Adds `PGPASSWORD` to the database URL. The database client would read the variable at each connection; reading it
 * once here lets it be removed from the environment.
 */
function withPassword (url: string, password: string | undefined): string {
  if (!URL.canParse(url) || password === undefined || password === '') return url
  const whole = new URL(url)
  if (whole.password === '' && !whole.searchParams.has('password')) whole.password = password
  return whole.href
}

/**
 * Finds misspelt variables. Other programs may set variables with the same prefixes (Kubernetes sets `…_SERVICE_HOST`),
 * so only names close to one of ours are reported.
 */
function findMisspelt (env: Where['env'], known: ReadonlySet<string | undefined>): string[] {
  const names = [...known].filter(name => name !== undefined)
  const ofNoSecret = new Set(names.map(fileVariable).filter(name => !known.has(name)))
  return Object.keys(env).filter(name => /^(?:PLATFORM|DATABASE|VALKEY|MINIO|LIGHTSHIP)_/.test(name) && !known.has(name)).flatMap(name => {
    if (ofNoSecret.has(name)) return [`The variable ${name} is set and sets nothing: only secrets are read from files. Set ${name.replace(/_FILE$/, '')} itself.`]
    const nearest = closest(name, names)
    return distance(name, nearest) > 3 ? [] : [`The variable ${name} is set and sets nothing; did you mean ${nearest}?`]
  })
}
