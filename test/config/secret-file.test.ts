// Secrets from files: `<VARIABLE>_FILE` stands for the variable, for every sensitive setting of the host and of plugins.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { leavesOf } from '../../config/load.ts'
import { renderSettings } from '../../core/cli/setting-table.ts'
import { InvalidSettings, loadSettings, schema, type Loaded } from '../../config/schema.ts'
import type { ConfigFields } from '../../core/contract/index.ts'
import { temporaryFolder } from '../support/host.ts'

const root = join(import.meta.dirname, '../..')
const load = (env: Record<string, string>, forget?: (variable: string) => void): Loaded =>
  loadSettings({ env, folder: join(root, 'config'), root, ...forget && { forget } })

function problemsOf (env: Record<string, string>): readonly string[] {
  try {
    load(env)
  } catch (error) {
    assert.ok(error instanceof InvalidSettings, String(error))
    return error.problems
  }
  return []
}

async function fileWith (t: TestContext, content: string | Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(t), 'secret')
  await writeFile(path, content)
  return path
}

const fitting: Record<string, string> = {
  DATABASE_URL: 'postgres://a:hunter2@db/b', VALKEY_URL: 'valkey://:hunter2@cache', MINIO_ACCESS_KEY: 'hunter2', MINIO_SECRET_KEY: 'hunter2-secret'
}
const sensitive = leavesOf(schema).flatMap(([name, { env = '', sensitive }]) => sensitive === true ? [[name, env] as const] : [])
const storage = { MINIO_ENDPOINT: 'http://s3', MINIO_ACCESS_KEY: 'a', MINIO_SECRET_KEY: 'b' }
const without = (env: Record<string, string>, name: string): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter(([key]) => key !== name))
const valueOf = ({ settings }: Loaded, name: string): unknown => name.split('.').reduce<unknown>((part, key) => (part as Record<string, unknown>)[key], settings)

test('every sensitive setting comes from the file that its variable with _FILE names', async (t) => {
  assert.ok(sensitive.length >= 7)
  for (const [name, env] of sensitive) {
    const value = fitting[env] ?? 'ab'.repeat(31) + 'cd'
    for (const end of ['', '\n', '\r\n', '\n\n']) {
      const path = await fileWith(t, value + end)
      const loaded = load({ ...env.startsWith('MINIO_') ? without(storage, env) : {}, [`${env}_FILE`]: path })
      assert.equal(valueOf(loaded, name), value, env)
      const row = loaded.describe().find(row => row.name === name)
      assert.deepEqual([row?.source, row?.value], [`file ${path}`, '[secret]'])
      assert.ok(loaded.secrets().includes(value))
      assert.match(renderSettings(loaded.describe()), new RegExp(`${name.replace('.', '\\.')} +\\[secret\\] +file ${path} +${env} `))
      assert.deepEqual(loaded.notices, [])
    }
  }
})

test('what is wrong with a file is told with the variable and the path, never with what is in it', async (t) => {
  const folder = await temporaryFolder(t)
  const path = await fileWith(t, 'ab'.repeat(32))
  const [empty, blank, long, binary] = [await fileWith(t, ''), await fileWith(t, '\n'), await fileWith(t, 'x'.repeat(70_000)), await fileWith(t, Uint8Array.of(0xff, 0xfe))]
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const about = (given: string): readonly string[] => problemsOf({ PLATFORM_MASTER_KEY_FILE: given })
  const says = (given: string, what: string): string[] => [`masterKey.current: PLATFORM_MASTER_KEY_FILE names ${given}, which ${what}`]
  for (const [given, what] of [
    [join(folder, 'absent'), 'is not there'], [folder, 'is not a file'], [pipe, 'is not a file'], ['/dev/null', 'is not a file'], [empty, 'is empty'], [blank, 'is empty'],
    [long, 'is longer than 65536 bytes'], [binary, 'is not UTF-8 text']
  ] as const) assert.deepEqual(about(given), says(given, what))

  assert.deepEqual(problemsOf({ PLATFORM_MASTER_KEY_FILE: path, PLATFORM_MASTER_KEY: 'ab'.repeat(32) }),
    ['masterKey.current: PLATFORM_MASTER_KEY and PLATFORM_MASTER_KEY_FILE are both set; set one of them'])
  const unfit = await fileWith(t, 'hunter2')
  const [problem = '', ...more] = about(unfit)
  assert.deepEqual(more, [])
  assert.ok(problem.startsWith(`masterKey.current: PLATFORM_MASTER_KEY_FILE (${unfit}) is a value that does not fit; it must be 64 hexadecimal digits`))
  assert.ok(!problem.includes('hunter2'))
})

test('an empty variable counts as not set, and a relative path is relative to the project', async (t) => {
  const path = await fileWith(t, 'ab'.repeat(32))
  assert.equal(load({ PLATFORM_MASTER_KEY: '', PLATFORM_MASTER_KEY_FILE: path }).settings.masterKey.current, 'ab'.repeat(32))
  assert.equal(load({ PLATFORM_MASTER_KEY_FILE: '' }).settings.masterKey.current, '')
  assert.match(problemsOf({ PLATFORM_MASTER_KEY_FILE: 'no/such' })[0] ?? '', new RegExp(`names ${root}/no/such, which is not there$`))
})

test('production takes all it requires from files, and says in what is missing that it can', async (t) => {
  const env: Record<string, string> = {}
  for (const [, name] of sensitive.filter(([, name]) => !name.endsWith('_PREVIOUS'))) {
    env[`${name}_FILE`] = await fileWith(t, fitting[name] ?? '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08')
  }
  assert.deepEqual(problemsOf({ NODE_ENV: 'production', MINIO_ENDPOINT: 'https://s3.example.org', ...env }), [])
  assert.match(problemsOf({ NODE_ENV: 'production' }).join('\n'), /DATABASE_URL is not set; .*DATABASE_URL_FILE may name a file that holds it/)
})

test('a misspelt _FILE is told, and so is one of a setting that is no secret', () => {
  assert.deepEqual(load({ PLATFORM_MASTER_KY_FILE: '/x', PLATFORM_LISTEN_FILE: '/x', DATABASE_POOL_MAX_FILE: '/x' }).notices, [
    'The variable PLATFORM_MASTER_KY_FILE is set and sets nothing; did you mean PLATFORM_MASTER_KEY_FILE?',
    'The variable PLATFORM_LISTEN_FILE is set and sets nothing: only secrets are read from files. Set PLATFORM_LISTEN itself.',
    'The variable DATABASE_POOL_MAX_FILE is set and sets nothing: only secrets are read from files. Set DATABASE_POOL_MAX itself.'
  ])
})

const fields: ConfigFields = {
  apiKey: { doc: 'Of the bank', format: 'string', default: '', env: 'BANK_API_KEY', sensitive: true },
  account: { doc: 'At the bank', format: 'string', default: '', env: 'BANK_ACCOUNT' }
}

test('only a sensitive field of a plugin comes from a file, which each load reads again', async (t) => {
  const path = await fileWith(t, 'first\n')
  const loaded = load({ BANK_API_KEY_FILE: path, BANK_ACCOUNT_FILE: path })
  assert.deepEqual(loaded.pluginSettings({ id: 'bank', fields }).values, { apiKey: 'first', account: '' })
  assert.equal(loaded.describe().at(-2)?.source, `file ${path}`)
  await writeFile(path, 'second')
  assert.deepEqual(loaded.pluginSettings({ id: 'bank', fields }).values, { apiKey: 'second', account: '' })
  await writeFile(path, '')
  assert.deepEqual(loaded.pluginSettings({ id: 'bank', fields }).problems, [`plugins.config.bank.apiKey: BANK_API_KEY_FILE names ${path}, which is empty`])
  const thief = { key: { doc: 'x', format: 'string', default: '', env: 'PLATFORM_MASTER_KEY_FILE' } }
  assert.match(loaded.pluginSettings({ id: 'thief', fields: thief }).problems[0] ?? '', /env "PLATFORM_MASTER_KEY_FILE" is a setting of the host/)
})

test('a variable that holds a secret is forgotten once read, and a later read still has it', () => {
  const forgotten: string[] = []
  const env = { ...storage, BANK_API_KEY: 'hunter2', BANK_ACCOUNT: '7', PGPASSWORD: 'hunter3', DATABASE_URL: 'postgres://a@db/b' }
  const loaded = load(env, variable => { forgotten.push(variable); Reflect.deleteProperty(env, variable) })
  for (const [, variable] of sensitive) assert.ok(forgotten.includes(variable) && forgotten.includes(`${variable}_FILE`), variable)
  assert.deepEqual(env, { MINIO_ENDPOINT: 'http://s3', BANK_API_KEY: 'hunter2', BANK_ACCOUNT: '7' })
  // The database's own client would have read it later.
  assert.equal(loaded.settings.postgres.url, 'postgres://a:hunter3@db/b')
  assert.ok(loaded.secrets().includes('hunter3'))

  for (const round of ['first', 'again']) assert.equal((loaded.pluginSettings({ id: 'bank', fields }).values as { apiKey: string }).apiKey, 'hunter2', round)
  assert.deepEqual(env, { MINIO_ENDPOINT: 'http://s3', BANK_ACCOUNT: '7' })
})
