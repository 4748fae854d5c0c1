// The manifest fits the settings: its grace holds the budgets, and it sets what production asks for.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadAllYaml, type V1Deployment } from '@kubernetes/client-node'
import { leavesOf } from '../../config/load.ts'
import { loadSettings, schema } from '../../config/schema.ts'

const root = join(import.meta.dirname, '../..')
const manifests = loadAllYaml(readFileSync(join(root, 'config/kubernetes/deployment.yaml'), 'utf8')) as V1Deployment[]
const pod = manifests.find(({ kind }) => kind === 'Deployment')?.spec?.template.spec
const container = pod?.containers[0]
const variables = container?.env ?? []
/** Those that name files are of the secret that is mounted. */
const isOfFile = ({ name }: { name: string }): boolean => name.endsWith('_FILE')
const env = Object.fromEntries(variables.filter(variable => !isOfFile(variable)).map(({ name, value }) => [name, value]))

/** The host's settings in the pod, with something fitting for each secret. */
const { settings, describe } = loadSettings({
  root,
  folder: join(root, 'config'),
  env: {
    ...env,
    DATABASE_URL: 'postgres://bulkhead:x@db/bulkhead',
    VALKEY_URL: 'valkey://cache',
    MINIO_ENDPOINT: 'https://s3.example.org',
    MINIO_ACCESS_KEY: 'key',
    MINIO_SECRET_KEY: 'secret',
    PLATFORM_MASTER_KEY: createHash('sha256').update('a test').digest('hex'),
    PLATFORM_ADMIN_PASSWORD: 'correct horse battery'
  }
})

test('the grace of the pod is the host\'s, and the budgets fit inside', () => {
  const { drainWaitMs, drainMs, stopMs, graceMs } = settings.budgets
  assert.equal(Number(pod?.terminationGracePeriodSeconds) * 1000, graceMs)
  assert.ok(drainWaitMs + drainMs + stopMs < graceMs)
})

test('three replicas and one surge fit into a default PostgreSQL', () => {
  const deployment = manifests.find(({ kind }) => kind === 'Deployment')?.spec
  const replicas = Number(deployment?.replicas) + Number(deployment?.strategy?.rollingUpdate?.maxSurge)
  // max_connections is 100 by default, 3 of which are for superusers. Four single connections: health, notifications, migrations.
  const connections = settings.postgres.poolMax + settings.tasks.maxConnections + 4
  assert.ok(replicas * connections <= 97, `${replicas * connections} connections`)
})

test('a pod that is not ready any more is seen to be so before the drain begins', () => {
  const probe = container?.readinessProbe
  const noticedMs = (Number(probe?.periodSeconds) + Number(probe?.timeoutSeconds)) * Number(probe?.failureThreshold) * 1000
  assert.ok(noticedMs <= settings.budgets.drainWaitMs, `${noticedMs} ms`)
})

test('every variable of the manifest is a setting, and none is set twice', () => {
  const known = describe().map(row => row.env)
  assert.deepEqual(Object.keys(env).filter(name => !known.includes(name)), [])
  assert.equal(new Set(variables.map(({ name }) => name)).size, variables.length)
})

test('every secret is a file of the mounted secret, and none is in the environment', () => {
  const secrets = leavesOf(schema).flatMap(([, { env, sensitive }]) => sensitive === true ? [env ?? ''] : [])
  assert.deepEqual(variables.filter(({ name }) => secrets.includes(name)), [])
  const files = variables.filter(isOfFile)
  assert.ok(files.length >= 6)
  const mount = container?.volumeMounts?.find(({ name }) => name === 'secrets')
  for (const { name, value } of files) {
    const variable = name.slice(0, -'_FILE'.length)
    assert.ok(secrets.includes(variable), name)
    assert.equal(value, `${mount?.mountPath ?? ''}/${variable}`)
  }
  assert.equal(pod?.volumes?.find(({ name }) => name === 'secrets')?.secret?.secretName, 'bulkhead')
})

test('the manifest sets all that production requires', () => {
  const needed = /^\s+[\w.]+: (\w+) is not set/gm
  let message = ''
  try {
    loadSettings({ root, folder: join(root, 'config'), env: { NODE_ENV: 'production' } })
  } catch (error) { message = (error as Error).message }
  const missing = [...message.matchAll(needed)].map(([, name]) => name ?? '')
  assert.ok(missing.length >= 6)
  assert.deepEqual(missing.filter(name => !(name in env) && !variables.some(variable => variable.name === `${name}_FILE`)), [])
})

test('the ports of the manifest are those the host listens on', () => {
  assert.deepEqual(container?.ports?.map(({ containerPort }) => containerPort), [settings.listen.port, settings.probes.port])
  assert.deepEqual([container.livenessProbe?.httpGet?.path, container.readinessProbe?.httpGet?.path], ['/live', '/ready'])
})

test('the image is the one of this version', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  assert.equal(container?.image, `bulkhead:${version}`)
})
