// Every setting of the host, once: what it is for, its strict format, its default, the environment variable that sets it.
// The defaults are those of development; `production.json` holds what differs there.

import { join } from 'node:path'
import { closest, distance } from 'fastest-levenshtein'
import type { ConfigFields } from '../core/contract/index.ts'
import { readContent } from './file.ts'
import { leavesOf, loadSection, secretVariablesOf, type Row, type Section, type Tree, type Values } from './load.ts'
import { loadPluginSection } from './plugin.ts'
import { checkArchive, checkBudgets, checkPool, checkProduction, checkStorage } from './rule.ts'
import { fileVariable } from './secret-file.ts'

const keyDoc = 'Encrypts what is secret in the database'

export const schema = {
  environment: { doc: 'What the host runs as', format: ['development', 'test', 'production'], default: 'development', env: 'NODE_ENV' },
  listen: { doc: 'Where the API listens; port 0 takes a free one', format: 'address', default: '127.0.0.1:8080', env: 'PLATFORM_LISTEN' },
  probes: {
    port: { doc: 'Where /health, /live and /ready answer', format: 'port', default: 9000, env: 'LIGHTSHIP_PORT' }
  },
  postgres: {
    url: { doc: 'Empty: an embedded server', format: 'postgres url', default: '', env: 'DATABASE_URL', sensitive: true, production: 'required' },
    poolMax: { doc: 'Connections to the database for the host and all plugins together, those for tasks apart; 2 at least', format: 'positive', default: 10, env: 'DATABASE_POOL_MAX' },
    hostConnections: { doc: 'Of these, how many no plugin can take; 0: a fifth', format: 'nat', default: 0, env: 'DATABASE_HOST_CONNECTIONS' },
    pluginConnections: { doc: 'Of the others, how many one plugin may have at once (fewer while other plugins have some); 0: half', format: 'nat', default: 0, env: 'DATABASE_PLUGIN_CONNECTIONS' },
    connectTimeoutMs: { doc: 'To open a connection', format: 'milliseconds', default: 5_000, env: 'DATABASE_CONNECT_TIMEOUT_MS' },
    acquireTimeoutMs: { doc: 'To wait for a free connection', format: 'milliseconds', default: 2_000, env: 'DATABASE_ACQUIRE_TIMEOUT_MS' },
    acquireQueueMax: { doc: 'How many calls of one plugin, or of the host, may wait for one', format: 'nat', default: 1_000, env: 'DATABASE_ACQUIRE_QUEUE_MAX' },
    statementTimeoutMs: { doc: 'For one statement', format: 'milliseconds', default: 30_000, env: 'DATABASE_STATEMENT_TIMEOUT_MS' }
  },
  valkey: {
    url: { doc: 'Empty: kept in the process', format: 'valkey url', default: '', env: 'VALKEY_URL', sensitive: true, production: 'required' },
    connectTimeoutMs: { doc: 'To open a connection', format: 'milliseconds', default: 500, env: 'VALKEY_CONNECT_TIMEOUT_MS' },
    commandTimeoutMs: { doc: 'For one command', format: 'milliseconds', default: 500, env: 'VALKEY_COMMAND_TIMEOUT_MS' }
  },
  storage: {
    endpoint: { doc: 'An S3 service; empty: a folder', format: 'url', default: '', env: 'MINIO_ENDPOINT', production: 'required' },
    accessKey: { doc: 'Who asks it', format: 'string', default: '', env: 'MINIO_ACCESS_KEY', sensitive: true, production: 'required' },
    secretKey: { doc: 'And proves it', format: 'string', default: '', env: 'MINIO_SECRET_KEY', sensitive: true, production: 'required' },
    bucket: { doc: 'Holds every object', format: 'bucket', default: 'platform', env: 'MINIO_BUCKET' },
    region: { doc: 'Of the bucket', format: 'string', default: 'us-east-1', env: 'MINIO_REGION' },
    timeoutMs: { doc: 'For one call', format: 'milliseconds', default: 10_000, env: 'MINIO_TIMEOUT_MS' }
  },
  kubernetes: {
    kubeconfig: { doc: 'Empty: the cluster the host runs in, if any', format: 'path', default: '', env: 'KUBECONFIG' }
  },
  masterKey: {
    current: { doc: keyDoc, format: 'key of 32 bytes', default: '', env: 'PLATFORM_MASTER_KEY', sensitive: true, production: 'required' },
    previous: { doc: 'Another that decrypts, and does not encrypt: the one before, or the one to come', format: 'key of 32 bytes', default: '', env: 'PLATFORM_MASTER_KEY_PREVIOUS', sensitive: true }
  },
  dataPath: { doc: 'Where the host keeps files', format: 'path', default: '.data', env: 'PLATFORM_DATA_PATH' },
  gitReposPath: { doc: 'Bare repositories; empty: `repos` in the data folder', format: 'path', default: '', env: 'PLATFORM_GIT_REPOS_PATH' },
  admin: {
    name: { doc: 'The first admin', format: 'user name', default: 'admin', env: 'PLATFORM_ADMIN_NAME' },
    email: { doc: 'Of the first admin; empty: its name @localhost', format: 'email', default: '', env: 'PLATFORM_ADMIN_EMAIL' },
    password: { doc: 'Empty: made at random', format: 'password', default: '', env: 'PLATFORM_ADMIN_PASSWORD', sensitive: true }
  },
  plugins: {
    paths: { doc: 'Folders that hold plugins', format: 'paths', default: ['plugins'], env: 'PLATFORM_PLUGINS_PATH' },
    packages: { doc: 'npm packages that are plugins', format: 'list', default: [], env: 'PLATFORM_PLUGINS_PACKAGES' },
    disabled: { doc: 'Ids of plugins to leave out', format: 'list', default: [], env: 'PLATFORM_PLUGINS_DISABLED' },
    enabled: { doc: 'Ids of examples to run in production', format: 'list', default: [], env: 'PLATFORM_PLUGINS_ENABLED' },
    errorsMax: { doc: 'Errors of a plugin that nobody caught, within the window, before it is quarantined', format: 'nat', default: 10, env: 'PLATFORM_PLUGINS_ERRORS_MAX' },
    errorWindowMs: { doc: 'In which they are counted', format: 'milliseconds', default: 60_000, env: 'PLATFORM_PLUGINS_ERROR_WINDOW_MS' }
  },
  http: {
    secureCookies: { doc: 'Cookies over https only', format: 'boolean', default: false, env: 'PLATFORM_SECURE_COOKIES' },
    trustProxyHops: { doc: 'How many proxies in front tell the client address', format: 'nat', default: 0, env: 'PLATFORM_TRUST_PROXY' },
    corsOrigins: { doc: 'Origins whose scripts may call', format: 'origins', default: [], env: 'PLATFORM_CORS_ORIGINS' },
    bodyLimitBytes: { doc: 'The largest body a route may take; public routes take 64 kB by default', format: 'positive', default: 10 * 1024 * 1024, env: 'PLATFORM_BODY_LIMIT_BYTES' },
    requestsPerUserMax: { doc: 'That one user may have under way; more are answered 429', format: 'positive', default: 64, env: 'PLATFORM_REQUESTS_PER_USER_MAX' },
    requestTimeoutMs: { doc: 'For one request', format: 'milliseconds', default: 30_000, env: 'PLATFORM_REQUEST_TIMEOUT_MS' }
  },
  egress: {
    allow: { doc: 'What plugins may fetch from beside the public internet', format: 'egress exceptions', default: [], env: 'PLATFORM_EGRESS_ALLOW' }
  },
  access: {
    sessionIdleMs: { doc: 'Unused for so long, a session is over', format: 'milliseconds', default: 8 * 3_600_000, env: 'PLATFORM_SESSION_IDLE_MS' }
  },
  tasks: {
    maxConnections: { doc: 'Connections to the database for tasks', format: 'positive', default: 4, env: 'PLATFORM_TASKS_MAX_CONNECTIONS' },
    historyHours: { doc: 'How long jobs that are over, dead letters too, are kept', format: 'positive', default: 72, env: 'PLATFORM_TASKS_HISTORY_HOURS' }
  },
  archive: {
    auditDays: { doc: 'Entries of the audit log older than so many days move into the storage; 0: none', format: 'nat', default: 0, env: 'PLATFORM_ARCHIVE_AUDIT_DAYS' },
    logDays: { doc: 'Log lines in the database older than so many days move into the storage; 0: none', format: 'nat', default: 30, env: 'PLATFORM_ARCHIVE_LOG_DAYS' }
  },
  budgets: {
    resourceStartMs: { doc: 'To open a resource', format: 'milliseconds', default: 30_000, env: 'PLATFORM_RESOURCE_START_BUDGET_MS' },
    migrationMs: { doc: 'To migrate the database, the wait for another host that does included', format: 'milliseconds', default: 600_000, env: 'PLATFORM_MIGRATION_BUDGET_MS' },
    pluginStartMs: { doc: 'To start a plugin', format: 'milliseconds', default: 10_000, env: 'PLATFORM_PLUGIN_START_BUDGET_MS' },
    drainWaitMs: { doc: 'Until the load balancer has noticed', format: 'nat', default: 0, env: 'PLATFORM_DRAIN_WAIT_MS' },
    drainMs: { doc: 'To finish what runs', format: 'milliseconds', default: 10_000, env: 'PLATFORM_DRAIN_BUDGET_MS' },
    stopMs: { doc: 'To stop plugins and close resources', format: 'milliseconds', default: 10_000, env: 'PLATFORM_STOP_BUDGET_MS' },
    graceMs: { doc: 'terminationGracePeriodSeconds, in ms', format: 'milliseconds', default: 30_000, env: 'PLATFORM_GRACE_MS' }
  },
  log: {
    level: { doc: 'The least that is logged', format: ['trace', 'debug', 'info', 'warn', 'error', 'fatal'], default: 'info', env: 'PLATFORM_LOG_LEVEL' },
    format: { doc: 'auto: pretty in a terminal, else json', format: ['auto', 'pretty', 'json'], default: 'pretty', env: 'PLATFORM_LOG_FORMAT' }
  }
} as const satisfies Tree

export type Settings = Values<typeof schema>

export interface Loaded {
  readonly settings: Settings
  /** Every setting of the host in the order of the schema, then those of the plugins asked for so far. */
  readonly describe: () => readonly Row[]
  /** The values of what is sensitive, of the host and of the plugins asked for so far. */
  readonly secrets: () => readonly string[]
  /** A plugin's own section: what its fields say, then `plugins.config.<id>` of the config file, then the environment variables they name. */
  readonly pluginSettings: (plugin: { id: string, fields: ConfigFields }) => Section
  /** The ids that the config file has a section for. */
  readonly configured: readonly string[]
  /** Variables that look like a setting and are none, each as a sentence. */
  readonly notices: readonly string[]
}

/** Every problem with the settings, each a line that says where, what is wrong and what is wanted. */
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
  /** Holds `<NODE_ENV>.json`. */
  readonly folder: string
  /** Relative paths in settings are relative to it. */
  readonly root: string
  /** Called for each variable that holds a secret, or names its file, once it is read. What is read again later is read from a copy. */
  readonly forget?: (variable: string) => void
}

/**
 * Defaults, then the config file, then the environment; an empty variable counts as not set. A secret comes from its variable, or from the file that
 * `<VARIABLE>_FILE` names. Throws `InvalidSettings`.
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
    ...environment === 'production' ? checkProduction(settings, schema, section.rows) : checkStorage(settings.storage)
  ]
  if (problems.length > 0) throw new InvalidSettings(problems)

  const rows = section.rows.map(row => row.name === 'gitReposPath' ? { ...row, value: settings.gitReposPath } : row)
  const plugins = new Map<string, Section>()
  const secretVariables = secretVariablesOf(schema)
  const hostEnvs = new Set([...leavesOf(schema).map(([, { env }]) => env), ...secretVariables.map(fileVariable)])
  const forgetSecrets = (names: readonly string[]): void => names.flatMap(name => [name, fileVariable(name)]).forEach(forget)
  forgetSecrets([...secretVariables, 'PGPASSWORD'])
  return {
    settings,
    describe: () => [rows, ...[...plugins.values()].map(({ rows }) => rows)].flat(),
    secrets: () => [...[section, ...plugins.values()].flatMap(({ secrets }) => secrets), ...env.PGPASSWORD ? [env.PGPASSWORD] : []],
    pluginSettings: ({ id, fields }) => {
      const own = loadPluginSection({ id, fields, content: file.plugins[id] }, source, hostEnvs)
      plugins.set(id, own)
      forgetSecrets(own.secretVariables)
      return own
    },
    configured: Object.keys(file.plugins),
    notices: findMisspelt(env, hostEnvs)
  }
}

/** The database's own client would read `PGPASSWORD` at each connection; here it is taken once, so that it need not stay in the environment. */
function withPassword (url: string, password: string | undefined): string {
  if (!URL.canParse(url) || password === undefined || password === '') return url
  const whole = new URL(url)
  if (whole.password === '' && !whole.searchParams.has('password')) whole.password = password
  return whole.href
}

/** Others may have variables that begin like ours (Kubernetes sets `…_SERVICE_HOST`), so only what is near to one of ours is told. */
function findMisspelt (env: Where['env'], known: ReadonlySet<string | undefined>): string[] {
  const names = [...known].filter(name => name !== undefined)
  const ofNoSecret = new Set(names.map(fileVariable).filter(name => !known.has(name)))
  return Object.keys(env).filter(name => /^(?:PLATFORM|DATABASE|VALKEY|MINIO|LIGHTSHIP)_/.test(name) && !known.has(name)).flatMap(name => {
    if (ofNoSecret.has(name)) return [`The variable ${name} is set and sets nothing: only secrets are read from files. Set ${name.replace(/_FILE$/, '')} itself.`]
    const nearest = closest(name, names)
    return distance(name, nearest) > 3 ? [] : [`The variable ${name} is set and sets nothing; did you mean ${nearest}?`]
  })
}
