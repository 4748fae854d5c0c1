// What settings are made of: defaults, a file, the environment; what is refused, and how it is told.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { formats, isFormatName } from '../../config/format.ts'
import { leavesOf } from '../../config/load.ts'
import { renderSettings } from '../../core/cli/setting-table.ts'
import { InvalidSettings, loadSettings, schema, type Loaded } from '../../config/schema.ts'
import { temporaryFolder } from '../support/host.ts'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'config')
const load = (env: Record<string, string>): Loaded => loadSettings({ env, folder, root })
const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://bulkhead:hunter2@db:5432/bulkhead',
  VALKEY_URL: 'valkey://:hunter2@cache:6379',
  MINIO_ENDPOINT: 'https://s3.example.org',
  MINIO_ACCESS_KEY: 'hunter2-id',
  MINIO_SECRET_KEY: 'hunter2-secret',
  PLATFORM_MASTER_KEY: createHash('sha256').update('a test').digest('hex')
}

test('what is sensitive is known by its values, and a URL by its password, too', () => {
  const loaded = load(production)
  assert.deepEqual(loaded.secrets(), [
    production.DATABASE_URL, 'hunter2', 'hunter2', production.VALKEY_URL, 'hunter2', 'hunter2', 'hunter2-id', 'hunter2-secret', production.PLATFORM_MASTER_KEY
  ])
  loaded.pluginSettings({ id: 'shop', fields: { key: { doc: 'A key', format: 'string', default: 'carrier-key', sensitive: true } } })
  assert.equal(loaded.secrets().at(-1), 'carrier-key')
})

test('the audit log is archived after thirty days at the earliest', () => {
  assert.equal(load({ PLATFORM_ARCHIVE_AUDIT_DAYS: '30' }).settings.archive.auditDays, 30)
  assert.match(problemsOf(() => load({ PLATFORM_ARCHIVE_AUDIT_DAYS: '29' })).join('\n'), /PLATFORM_ARCHIVE_AUDIT_DAYS 29 is too few; write 30 or more, or 0/)
})

/** The problems that loading ends with. */
function problemsOf (load: () => unknown): readonly string[] {
  try {
    load()
  } catch (error) {
    assert.ok(error instanceof InvalidSettings, String(error))
    assert.equal(error.code, 'BULKHEAD_SETTINGS_INVALID')
    for (const problem of error.problems) assert.ok(error.message.includes(problem))
    return error.problems
  }
  return []
}

/** A project whose `config/<environment>.json` is this. */
async function projectWith (t: TestContext, content: unknown, environment = 'development'): Promise<{ folder: string, root: string }> {
  const root = await temporaryFolder(t)
  await mkdir(join(root, 'config'))
  await writeFile(join(root, 'config', `${environment}.json`), typeof content === 'string' ? content : JSON.stringify(content))
  return { folder: join(root, 'config'), root }
}

test('connections that are the host\'s own leave plugins some', () => {
  assert.equal(load({ DATABASE_HOST_CONNECTIONS: '9' }).settings.postgres.hostConnections, 9)
  assert.match(problemsOf(() => load({ DATABASE_HOST_CONNECTIONS: '10' })).join('\n'), /DATABASE_HOST_CONNECTIONS 10 leaves plugins none of the 10/)
})

test('several servers in DATABASE_URL become the host and port of a URL that any code can read', () => {
  const urlOf = (url: string) => load({ DATABASE_URL: url }).settings.postgres.url
  assert.equal(urlOf('postgres://me:x@a:1,b/db?target_session_attrs=read-write'), 'postgres://me:x@a:1/db?target_session_attrs=read-write&host=a%2Cb&port=1%2C5432')
  assert.equal(urlOf('postgresql://[::1]:7,b:8/db'), 'postgresql://[::1]:7/db?host=%3A%3A1%2Cb&port=7%2C8')
  assert.equal(urlOf(production.DATABASE_URL), production.DATABASE_URL)
  assert.match(problemsOf(() => load({ DATABASE_URL: 'postgres://a,b/db?target_session_attrs=standby' })).join(), /standby in DATABASE_URL asks for a server that may take no writes/)
})

test('without any environment the settings are those of development', () => {
  const { settings } = load({})
  assert.deepEqual(settings, {
    environment: 'development',
    listen: { host: '127.0.0.1', port: 8080 },
    probes: { port: 9000 },
    postgres: {
      url: '', poolMax: 10, hostConnections: 0, pluginConnections: 0,
      connectTimeoutMs: 5_000, acquireTimeoutMs: 2_000, acquireQueueMax: 1_000, statementTimeoutMs: 30_000
    },
    valkey: { url: '', connectTimeoutMs: 500, commandTimeoutMs: 500 },
    storage: { endpoint: '', accessKey: '', secretKey: '', bucket: 'platform', region: 'us-east-1', timeoutMs: 10_000 },
    kubernetes: { kubeconfig: '' },
    masterKey: { current: '', previous: '' },
    dataPath: join(root, '.data'),
    gitReposPath: join(root, '.data/repos'),
    admin: { name: 'admin', email: '', password: '' },
    plugins: { paths: [join(root, 'plugins')], packages: [], disabled: [], enabled: [], errorsMax: 10, errorWindowMs: 60_000 },
    http: { secureCookies: false, trustProxyHops: 0, corsOrigins: [], bodyLimitBytes: 10_485_760, requestsPerUserMax: 64, requestTimeoutMs: 30_000 },
    egress: { allow: [] },
    access: { sessionIdleMs: 28_800_000 },
    tasks: { maxConnections: 4, historyHours: 72 },
    archive: { auditDays: 0, logDays: 30 },
    budgets: { resourceStartMs: 30_000, migrationMs: 600_000, pluginStartMs: 10_000,
      drainWaitMs: 0, drainMs: 10_000, stopMs: 10_000, graceMs: 30_000 },
    log: { level: 'info', format: 'pretty' }
  })
})

test('a variable that is nearly one of ours is told, others are let alone', () => {
  const { notices } = load({ PLATFORM_LISTN: '127.0.0.1:1', PLATFORM_PLUGIN_DISABLED: 'notes', PLATFORM_SERVICE_HOST: '10.0.0.1', DATABASE_POOL_MAX: '3' })
  assert.deepEqual(notices, [
    'The variable PLATFORM_LISTN is set and sets nothing; did you mean PLATFORM_LISTEN?',
    'The variable PLATFORM_PLUGIN_DISABLED is set and sets nothing; did you mean PLATFORM_PLUGINS_DISABLED?'
  ])
})

test('production differs where its file says so', () => {
  const { settings, describe } = load(production)
  const { listen, dataPath, gitReposPath, postgres, http, budgets, log } = settings
  assert.deepEqual(
    [listen.host, dataPath, gitReposPath, postgres.poolMax, http.secureCookies, budgets.drainWaitMs, log.format],
    ['0.0.0.0', '/data', '/data/repos', 16, true, 5_000, 'json'])
  assert.equal(describe().find(({ name }) => name === 'postgres.poolMax')?.source, 'config/production.json')
})

test('every setting has its own variable, a sentence, and a default that fits its format', () => {
  const leaves = leavesOf(schema)
  assert.equal(new Set(leaves.map(([, { env }]) => env)).size, leaves.length)
  for (const [name, { doc, env = '', format, default: value }] of leaves) {
    assert.match(env, /^[A-Z][A-Z0-9_]+$/, name)
    assert.ok(doc.length > 3, name)
    const fits = typeof format === 'string' && isFormatName(format) ? value === '' || formats[format].fits(value) : format.includes(value)
    assert.ok(fits, name)
    assert.ok(!/(password|secret|masterKey|\burl$|accessKey)/i.test(name) || leaves.find(([other]) => other === name)?.[1].sensitive === true, `${name} is a secret`)
  }
})

test('each variable sets its setting, over the file', async (t) => {
  const values: Record<string, [text: string, value: unknown]> = {
    NODE_ENV: ['test', 'test'],
    PLATFORM_LISTEN: ['[::1]:0', { host: '::1', port: 0 }],
    PLATFORM_PLUGINS_PATH: ['plugins:/opt/plugins', [join(root, 'plugins'), '/opt/plugins']],
    PLATFORM_PLUGINS_DISABLED: ['notes, console', ['notes', 'console']],
    PLATFORM_CORS_ORIGINS: ['https://a.example,http://localhost:3000', ['https://a.example', 'http://localhost:3000']],
    PLATFORM_EGRESS_ALLOW: ['mirror.internal:8081, 10.0.0.0/8,127.0.0.1:80,[fd00::/8]:443,::1', [
      { host: 'mirror.internal', port: 8081 }, { host: '10.0.0.0', prefix: 8 }, { host: '127.0.0.1', port: 80 }, { host: 'fd00::', prefix: 8, port: 443 }, { host: '::1' }
    ]],
    PLATFORM_SECURE_COOKIES: ['1', true],
    PLATFORM_LOG_LEVEL: ['warn', 'warn'],
    PLATFORM_LOG_FORMAT: ['pretty', 'pretty'],
    PLATFORM_MASTER_KEY: [production.PLATFORM_MASTER_KEY, production.PLATFORM_MASTER_KEY],
    PLATFORM_MASTER_KEY_PREVIOUS: ['A'.repeat(64), 'A'.repeat(64)],
    DATABASE_URL: [production.DATABASE_URL, production.DATABASE_URL],
    VALKEY_URL: ['rediss://cache:6380/1', 'rediss://cache:6380/1'],
    MINIO_ENDPOINT: ['http://127.0.0.1:9000', 'http://127.0.0.1:9000'],
    KUBECONFIG: ['kube/config', join(root, 'kube/config')],
    PLATFORM_DATA_PATH: ['/var/lib/bulkhead', '/var/lib/bulkhead'],
    PLATFORM_GIT_REPOS_PATH: ['repos', join(root, 'repos')],
    PLATFORM_GRACE_MS: ['60001', 60_001],
    PLATFORM_ADMIN_NAME: ['ada.l', 'ada.l'],
    PLATFORM_ADMIN_EMAIL: ['ada@example.org', 'ada@example.org'],
    PLATFORM_ADMIN_PASSWORD: ['correct horse battery', 'correct horse battery']
  }
  for (const [name, { env = '', format }] of leavesOf(schema)) {
    const [text, value] = values[env] ?? (format === 'list' ? ['a-text', ['a-text']] : format === 'string' || format === 'bucket' ? ['a-text', 'a-text'] : ['123', 123])
    const storage: Record<string, string> = env.startsWith('MINIO_') ? { MINIO_ENDPOINT: 'http://s3', MINIO_ACCESS_KEY: 'a', MINIO_SECRET_KEY: 'b' } : {}
    const { settings, describe } = load({ PLATFORM_GRACE_MS: '60000', DATABASE_POOL_MAX: '200', ...storage, [env]: text })
    const read = name.split('.').reduce<unknown>((part, key) => (part as Record<string, unknown>)[key], settings)
    assert.deepEqual(read, value, name)
    assert.equal(describe().find(row => row.name === name)?.source, `environment ${env}`)
  }

  const project = await projectWith(t, { postgres: { poolMax: 30, acquireQueueMax: 7 } })
  const { settings } = loadSettings({ ...project, env: { DATABASE_POOL_MAX: '40' } })
  assert.deepEqual([settings.postgres.poolMax, settings.postgres.acquireQueueMax], [40, 7])
})

test('a variable that is there but empty counts as not set', () => {
  const { settings } = load({ DATABASE_POOL_MAX: '', PLATFORM_SECURE_COOKIES: '', NODE_ENV: '', PLATFORM_ADMIN_NAME: '' })
  assert.deepEqual([settings.postgres.poolMax, settings.http.secureCookies, settings.admin.name], [10, false, 'admin'])
})

test('a text that only looks like a value is refused: nothing is coerced', () => {
  const wrong: Record<string, string[]> = {
    PLATFORM_SECURE_COOKIES: ['no', 'yes', 'TRUE', 'on', '2'],
    DATABASE_POOL_MAX: ['12abc', '0', '-1', '1.5', '1e3', ' 1', '0x10', 'NaN', '99999999999999999'],
    DATABASE_ACQUIRE_TIMEOUT_MS: ['0', '2s', '2147483648'],
    LIGHTSHIP_PORT: ['65536', 'http', '-1'],
    PLATFORM_LISTEN: ['8080', ':8080', 'localhost', '::1:8080', 'localhost:99999', 'http://localhost:80', 'localhost:'],
    DATABASE_URL: ['mysql://db/x', 'db:5432', 'postgres://', 'postgres://a,:5432/db', 'postgres://a:1,b:x/db'],
    VALKEY_URL: ['http://cache', 'cache:6379'],
    MINIO_ENDPOINT: ['s3.example.org', 's3://bucket'],
    MINIO_BUCKET: ['UPPER', 'a', 'with space'],
    PLATFORM_MASTER_KEY: ['abc', 'g'.repeat(64), 'a'.repeat(63)],
    PLATFORM_CORS_ORIGINS: ['*', 'https://a.example/', 'a.example', 'https://a.example,nonsense'],
    PLATFORM_EGRESS_ALLOW: [
      'a b', '*.internal', 'Mirror.internal', 'mirror.internal.', 'http://mirror', 'mirror/path', 'mirror:0', 'mirror:65536', 'mirror:', 'mirror:http', '10.0.0.0/33',
      '10.0.0.0/', '10.0.0.0/8/8', '10.0.0', '0x7f.1', '2130706433', '010.0.0.1', 'fd00::/129', '[fd00::/8', '[10.0.0.0/8]:80:80', '[mirror]:80', 'fe80::1%eth0', 'mirror/8', '10.0.0.0/8,nonsense!'
    ],
    PLATFORM_ADMIN_EMAIL: ['a', 'a@', 'a b@c', `${'a'.repeat(254)}@b`],
    PLATFORM_ADMIN_NAME: ['.a', 'a.', 'a..b', 'a b', 'ä', 'a'.repeat(256)],
    PLATFORM_ADMIN_PASSWORD: ['short', 'a'.repeat(1025)],
    PLATFORM_LOG_LEVEL: ['verbose', 'INFO'],
    PLATFORM_DATA_PATH: ['a\0b'],
    NODE_ENV: ['prod', 'Production']
  }
  for (const [env, texts] of Object.entries(wrong)) {
    for (const text of texts) {
      const problems = problemsOf(() => load({ [env]: text }))
      assert.ok(problems.some(problem => problem.includes(`${env} is `) && problem.includes('it must be ')), `${env}=${text}: ${problems.join('; ')}`)
    }
  }
})

test('a secret that does not fit is not shown, anything else is', () => {
  const problems = problemsOf(() => load({ PLATFORM_MASTER_KEY: 'hunter2', DATABASE_URL: 'mysql://u:hunter2@h/d', DATABASE_POOL_MAX: 'many' })).join('\n')
  assert.ok(!problems.includes('hunter2'), problems)
  assert.match(problems, /postgres\.poolMax: DATABASE_POOL_MAX is "many"; it must be a whole number, 1 or more/)
})

test('everything that is missing or malformed in production is one message', () => {
  const problems = problemsOf(() => load({ NODE_ENV: 'production', DATABASE_POOL_MAX: '12abc', PLATFORM_SECURE_COOKIES: 'no' }))
  const named = ['DATABASE_POOL_MAX', 'PLATFORM_SECURE_COOKIES', 'DATABASE_URL', 'VALKEY_URL', 'MINIO_ENDPOINT', 'MINIO_ACCESS_KEY', 'MINIO_SECRET_KEY', 'PLATFORM_MASTER_KEY']
  assert.deepEqual(problems.map(problem => /: ([A-Z_]+) is/.exec(problem)?.[1]).sort(), named.sort())
})

test('values that only development may use are refused in production', () => {
  const refused: Record<string, string>[] = [
    { MINIO_ACCESS_KEY: 'minioadmin' }, { MINIO_SECRET_KEY: 'minioadmin' },
    { PLATFORM_MASTER_KEY: '0'.repeat(64) }, { PLATFORM_MASTER_KEY: '0123456789abcdef'.repeat(4) }, { PLATFORM_MASTER_KEY_PREVIOUS: 'f'.repeat(64) },
    { PLATFORM_ADMIN_PASSWORD: 'password' }, { PLATFORM_ADMIN_PASSWORD: 'Password1!' }, { PLATFORM_ADMIN_PASSWORD: '12345678' }, { PLATFORM_ADMIN_PASSWORD: 'changeme' }
  ]
  for (const env of refused) {
    assert.equal(problemsOf(() => load({ ...production, ...env })).length, 1, JSON.stringify(env))
    if (!('MINIO_ACCESS_KEY' in env) && !('MINIO_SECRET_KEY' in env)) assert.deepEqual(problemsOf(() => load(env)), [], 'development takes them')
  }
  assert.deepEqual(problemsOf(() => load(production)), [])
})

test('half a storage is refused, and budgets that do not fit inside the grace', () => {
  assert.match(problemsOf(() => load({ MINIO_ENDPOINT: 'http://s3' })).join(), /MINIO_ACCESS_KEY and MINIO_SECRET_KEY are not set/)
  assert.match(problemsOf(() => load({ PLATFORM_GRACE_MS: '20999' })).join(), /is 21000 ms, more than PLATFORM_GRACE_MS 20999/)
  assert.deepEqual(problemsOf(() => load({ PLATFORM_GRACE_MS: '21000' })), [])
})

test('a key that no schema knows is refused with the nearest known one', async (t) => {
  const project = await projectWith(t, { postgres: { poolmax: 5 }, poolMax: 5, lissten: 'x', http: { secureCokies: true }, plugins: { path: [] } })
  assert.deepEqual(problemsOf(() => loadSettings({ ...project, env: {} })), [
    'config/development.json: "postgres.poolmax" is not a setting; the nearest is "postgres.poolMax"',
    'config/development.json: "poolMax" is not a setting; the nearest is "postgres.poolMax"',
    'config/development.json: "lissten" is not a setting; the nearest is "listen"',
    'config/development.json: "http.secureCokies" is not a setting; the nearest is "http.secureCookies"',
    'config/development.json: "plugins.path" is not a setting; the nearest is "plugins.paths"'
  ])
})

test('a key that every object has is no setting either', async (t) => {
  const project = await projectWith(t, '{ "constructor": {}, "__proto__": { "listen": "evil:1" }, "log": { "toString": "x" } }')
  const problems = problemsOf(() => loadSettings({ ...project, env: {} }))
  assert.deepEqual(problems.map(problem => /"([\w.]+)" is not a setting/.exec(problem)?.[1]), ['constructor', '__proto__', 'log.toString'])
})

test('a file with the wrong shape is told, not guessed at', async (t) => {
  const cases: [content: unknown, says: RegExp][] = [
    ['{ "listen": ', /config\/development\.json is not JSON: /],
    ['[]', /config\/development\.json must hold one object/],
    [{ listen: { host: 'a' } }, /"listen" must be an address and a port.*, not an object/],
    [{ postgres: 'postgres://db' }, /"postgres" must be an object with url, poolMax/],
    [{ postgres: { poolMax: null } }, /postgres\.poolMax: config\/development\.json is null; it must be/],
    [{ http: { secureCookies: 'no' } }, /http\.secureCookies: config\/development\.json is "no"/],
    [{ plugins: { paths: [1] } }, /plugins\.paths: config\/development\.json is \[1\]/],
    [{ environment: 'production' }, /"environment" cannot be set here; NODE_ENV chooses the file/],
    [{ plugins: { config: [] } }, /"plugins\.config" must be an object/]
  ]
  for (const [content, says] of cases) {
    const project = await projectWith(t, content)
    assert.match(problemsOf(() => loadSettings({ ...project, env: {} })).join('\n'), says)
  }
})

test('a byte order mark is read over, and another encoding is named', async (t) => {
  const project = await projectWith(t, '\uFEFF{ "listen": "127.0.0.1:4001" }')
  assert.equal(loadSettings({ ...project, env: {} }).settings.listen.port, 4001)
  await writeFile(join(project.folder, 'development.json'), Buffer.from('\uFEFF{}', 'utf16le'))
  assert.deepEqual(problemsOf(() => loadSettings({ ...project, env: {} })), ['config/development.json is not UTF-8 text; save it as UTF-8'])
})

test('production does not start without its file', async (t) => {
  const project = await projectWith(t, {}, 'development')
  assert.deepEqual(problemsOf(() => loadSettings({ ...project, env: production })), ['config/production.json is missing; it holds what differs in production'])
})

test('what is printed holds no secret and says where each value is from', () => {
  const env = { ...production, PLATFORM_ADMIN_PASSWORD: 'hunter2-admin', PLATFORM_SMTP_PASSWORD: 'hunter2-smtp' }
  const text = renderSettings(load(env).describe())
  assert.ok(!text.includes('hunter2') && !text.includes(production.PLATFORM_MASTER_KEY), text)
  assert.match(text, /^postgres\.url +\[secret\] +environment +DATABASE_URL +\S.*$/m)
  assert.match(text, /^postgres\.poolMax +16 +config\/production\.json +DATABASE_POOL_MAX +\S.*$/m)
  assert.match(text, /^masterKey\.previous +- +default +PLATFORM_MASTER_KEY_PREVIOUS +\S.*$/m)
  assert.match(text, /^gitReposPath +\/data\/repos +default +PLATFORM_GIT_REPOS_PATH +\S.*$/m)
  assert.equal(text.split('\n').length, leavesOf(schema).length + 1)
})
