// SIGTERM under load: what a load balancer that notices a little late still sends is answered, and the process ends cleanly.

import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { drainUnderLoad } from '../bench/drain.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'

/** The status, or the error that the request ended with. */
const ask = (url: string, agent: Agent): Promise<number | string> => new Promise(resolve => {
  request(url, { agent }, response => {
    response.resume().on('end', () => resolve(response.statusCode ?? 0)).on('error', error => resolve(error.message))
  }).on('error', error => resolve(error.message)).end()
})

test('no request is lost when the host is told to stop under load, keep-alive or not', async (t) => {
  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'slow', {}, `
    import { setTimeout as sleep } from 'node:timers/promises'
    export default { start ({ routes }) { routes.get('/', { public: 'a test' }, async () => { await sleep(20); return 'done' }) } }
  `)
  const host = startHost(t, {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: folder, PLATFORM_DRAIN_WAIT_MS: '3000'
  })
  const { url, probesUrl } = await host.ready()

  const agents = [new Agent({ keepAlive: true }), new Agent({ keepAlive: false })]
  t.after(() => { for (const agent of agents) agent.destroy() })
  const answers: (number | string)[] = []
  let isRouted = true
  const clients = Array.from({ length: 30 }, async (_, index) => {
    const agent = agents[index % 2] ?? new Agent()
    while (isRouted) answers.push(await ask(`${url}/api/slow`, agent))
  })

  await sleep(300)
  host.signal('SIGTERM')
  // The balancer asks now and then, and routes nothing more once it has read the answer.
  while (await ask(`${probesUrl}/ready`, new Agent()) === 200) await sleep(20)
  await sleep(300)
  isRouted = false
  await Promise.all(clients)

  assert.ok(answers.length >= clients.length, `${answers.length} requests were sent`)
  assert.deepEqual(answers.filter(answer => answer !== 200), [])
  assert.equal(await host.ended, 0, host.output())
})

test('twenty replicas leave in turn behind a balancer that lags a second, without a lost request', {
  skip: process.env.BULKHEAD_LONG === undefined && 'two minutes, and both cores; BULKHEAD_LONG=1 runs it'
}, async (t) => {
  const { load, exits } = await drainUnderLoad(t, { rounds: 20, requestsPerSecond: 200 })
  t.diagnostic(`${load.sent} requests, ${exits.length} exits`)
  assert.deepEqual(load.failed, {})
  assert.deepEqual(exits.map(({ code }) => code), exits.map(() => 0))
})
