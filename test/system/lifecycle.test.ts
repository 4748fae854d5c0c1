// How the host lives with what it stands on being late, and how it ends in every state.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

test('without its database the host is alive, names it, and goes on a second after its return', async (t) => {
  const database = new URL(await createDatabase(t))
  const proxy = await startProxy(t, Number(database.port))
  proxy.hold()
  database.host = `127.0.0.1:${proxy.port}`
  const host = startHost(t, { DATABASE_URL: database.href, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_LOG_LEVEL: 'debug' })
  const { port } = await host.line(({ msg, port }) => msg.includes('probes') && typeof port === 'number')
  const probes = `http://127.0.0.1:${String(port)}`
  assert.equal((await fetch(`${probes}/live`)).status, 200)
  const readiness = await fetch(`${probes}/ready`)
  assert.equal(readiness.status, 500)
  assert.match(await readiness.text(), /waiting for postgres/)

  proxy.pass()
  const healedAt = performance.now()
  await host.line(({ unit, to }) => unit === 'postgres' && to === 'running')
  t.diagnostic(`the start went on ${Math.round(performance.now() - healedAt)} ms after the database had come`)
  await host.ready()
  assert.equal((await fetch(`${probes}/ready`)).status, 200)

  proxy.hold()
  await until(async () => (await fetch(`${probes}/ready`)).status === 500)
  assert.equal((await fetch(`${probes}/live`)).status, 200, 'liveness never looks at a dependency')
  proxy.pass()
  await until(async () => (await fetch(`${probes}/ready`)).status === 200)

  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})

test('SIGTERM ends a start that hangs, cleanly', async (t) => {
  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'stuck', {}, 'export default { start: ({ signal }) => new Promise((resolve, reject) => { signal.addEventListener("abort", () => reject(signal.reason)) }) }')
  const host = startHost(t, {
    DATABASE_URL: await createDatabase(t, { migrated: 'core' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: folder, PLATFORM_LOG_LEVEL: 'debug'
  })
  await host.line(({ unit, to }) => unit === 'stuck' && to === 'starting')
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})

test('SIGTERM while it waits for a database that never comes ends it, cleanly', async (t) => {
  const host = startHost(t, { DATABASE_URL: 'postgres://u:p@127.0.0.1:1/none', PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_LOG_LEVEL: 'debug' })
  await host.line(({ unit, to }) => unit === 'postgres' && to === 'starting')
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})

test('a second signal shortens the stop: a hanging undo is cut off and the exit code says so', async (t) => {
  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'clings', {}, "export default { start ({ undo }) { undo('let go', () => new Promise(() => {})) } }")
  const host = startHost(t, { DATABASE_URL: await createDatabase(t, { migrated: 'core' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: folder })
  await host.ready()
  host.signal('SIGTERM')
  await host.line(({ msg }) => msg === 'stopping')
  await sleep(700)
  host.signal('SIGTERM')
  assert.equal(await host.ended, 7, host.output())
  assert.match(host.output(), /let go/)
})

test('an error that nobody caught, and that is no plugin\'s, ends the host in order, with exit 1', async (t) => {
  // What is there before the host begins is of no plugin.
  const nobodys = 'process.on("SIGUSR2", () => setTimeout(() => { throw new Error("nobody\'s") }))'
  const host = startHost(t, {
    DATABASE_URL: await createDatabase(t), PLATFORM_DATA_PATH: await temporaryFolder(t), NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(nobodys)}`
  })
  await host.ready()
  host.signal('SIGUSR2')
  assert.equal(await host.ended, 1)
  assert.match(host.output(), /nobody's/)
  assert.match(host.output(), /"msg":"stopped \d+ units/)
})

test('hosts that start at once on an empty database make one admin', async (t) => {
  const env = { DATABASE_URL: await createDatabase(t), PLATFORM_ADMIN_PASSWORD: 'correct horse battery', PLATFORM_MASTER_KEY: 'ab'.repeat(31) + 'cd' }
  const count = process.env.BULKHEAD_LONG === undefined ? 4 : 10
  const hosts = await Promise.all(Array.from({ length: count }, async () => startHost(t, { ...env, PLATFORM_DATA_PATH: await temporaryFolder(t) })))
  await Promise.all(hosts.map(host => host.ready()))
  assert.equal(hosts.filter(host => host.lines().some(({ msg }) => msg.includes('first admin was made'))).length, 1)
  for (const host of hosts) host.signal('SIGTERM')
  assert.deepEqual(await Promise.all(hosts.map(host => host.ended)), hosts.map(() => 0))
})

test('a plugin that failed comes back by itself, and what waited for it with it', async (t) => {
  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'late', {}, `
    let starts = 0
    export default { start ({ routes }) {
      if (++starts === 1) throw new Error('not yet')
      routes.get('/', { public: 'a test' }, () => 'here')
    } }`)
  await writePlugin(folder, 'leans', { requires: { late: '^1.0.0' } }, "export default { start ({ routes }) { routes.get('/', { public: 'a test' }, () => 'here') } }")
  const host = startHost(t, { DATABASE_URL: await createDatabase(t, { migrated: 'core' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: folder })
  const { url } = await host.ready()
  const statuses = (): Promise<number[]> => Promise.all(['late', 'leans'].map(async id => (await fetch(`${url}/api/${id}`)).status))
  await until(async () => (await statuses()).every(status => status === 200))
  assert.match(host.output(), /not yet/)
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})
