// When the host turns ready.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { serverUrl } from '../support/database.ts'
import { startHost, temporaryFolder, type HostProcess } from '../support/host.ts'
import { createOwnedDatabase } from '../support/owned-database.ts'
import { undo } from '../support/undo.ts'

const lastFatal = (host: HostProcess): string => host.lines().findLast(({ level }) => level === 'fatal')?.msg ?? ''

test('/ready is never green when a required unit of the last phase fails, and the fatal line has the reason', async (t) => {
  const { url } = await createOwnedDatabase(t)
  const ofOperator = new URL(serverUrl())
  ofOperator.pathname = new URL(url).pathname
  const operator = new pg.Client(ofOperator.href)
  await operator.connect()
  undo(t, () => operator.end())
  // The schema of the tasks belongs to another role, so the host's own tasks cannot be registered.
  await operator.query('create schema pgboss')
  const host = startHost(t, { DATABASE_URL: url, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: await temporaryFolder(t) })
  const { port } = await host.line(({ msg, port }) => msg.includes('probes') && typeof port === 'number')
  const seen = new Set<number>()
  const ended = new AbortController()
  void host.ended.then(() => ended.abort())
  while (!ended.signal.aborted) {
    await fetch(`http://127.0.0.1:${String(port)}/ready`).then(({ status }) => seen.add(status), () => undefined)
  }
  assert.equal(await host.ended, 3, host.output())
  assert.deepEqual([...seen], [500])
  assert.match(lastFatal(host), /"host tasks" did not start.*permission denied for schema pgboss/s)
})
