// The same host on real servers, as an operator starts it: NODE_ENV=production and nothing embedded.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { undo } from '../support/undo.ts'

const given = (name: string): string => {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set: run the tests with npm test`)
  return value
}

async function productionOf (t: TestContext): Promise<Record<string, string>> {
  const kubeconfig = process.env.TEST_KUBECONFIG
  return {
    NODE_ENV: 'production',
    DATABASE_URL: await createDatabase(t),
    VALKEY_URL: given('TEST_VALKEY_URL'),
    MINIO_ENDPOINT: given('TEST_S3_ENDPOINT'),
    MINIO_ACCESS_KEY: given('TEST_S3_ACCESS_KEY'),
    MINIO_SECRET_KEY: given('TEST_S3_SECRET_KEY'),
    PLATFORM_MASTER_KEY: randomBytes(32).toString('hex'),
    PLATFORM_ADMIN_PASSWORD: 'correct horse battery',
    PLATFORM_DATA_PATH: await temporaryFolder(t),
    PLATFORM_DRAIN_WAIT_MS: '0',
    ...kubeconfig === undefined ? {} : { KUBECONFIG: kubeconfig }
  }
}

test('production is ready on real servers, with its admin, no example and no secret in the log', async (t) => {
  const env = await productionOf(t)
  const host = startHost(t, env)
  const { url } = await host.ready()
  // A browser would send the cookie over https only; this client sends it all the same.
  const admin = await signIn(url, 'admin', 'correct horse battery')
  assert.equal((await admin.get('/api/auth/me')).status, 200)
  assert.equal((await admin.get('/api/notes')).status, 404)
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())

  const lines = host.output().trim().split('\n')
  assert.ok(lines.every(line => typeof JSON.parse(line) === 'object'))
  const secrets = ['MINIO_SECRET_KEY', 'PLATFORM_MASTER_KEY', 'PLATFORM_ADMIN_PASSWORD'].map(name => env[name] ?? '')
  for (const secret of [...secrets, new URL(env.DATABASE_URL ?? '').password].filter(secret => secret !== '')) {
    assert.ok(!host.output().includes(secret))
  }

  const named = startHost(t, { ...env, PLATFORM_PLUGINS_ENABLED: 'notes' })
  const again = await named.ready()
  assert.equal((await fetch(`${again.url}/api/notes`)).status, 401)
  named.signal('SIGTERM')
  assert.equal(await named.ended, 0, named.output())
})

test('production without a password for the first admin: refused while there is no user, exit 2', async (t) => {
  const env = await productionOf(t)
  const host = startHost(t, { ...env, PLATFORM_ADMIN_PASSWORD: '' })
  assert.equal(await host.ended, 2)
  assert.equal(host.output().split('PLATFORM_ADMIN_PASSWORD is not set').length, 2, `the sentence stands there once: ${host.output()}`)
  const client = new pg.Client(env.DATABASE_URL)
  await client.connect()
  undo(t, () => client.end())
  assert.deepEqual((await client.query("select to_regclass('bulkhead.migration') as journal")).rows, [{ journal: null }], 'no migration has run')
})

test('a bucket that is not there: the setting is named, the secret is not shown, exit 3', async (t) => {
  const env = await productionOf(t)
  const host = startHost(t, { ...env, MINIO_BUCKET: 'no-such-bucket', PLATFORM_RESOURCE_START_BUDGET_MS: '5000' })
  assert.equal(await host.ended, 3)
  assert.match(host.output(), /MINIO_BUCKET/)
})
