// The budget of a plugin's start: it counts the time in which the host's process runs.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'

const budgetMs = 2_000

test('a host that is frozen for longer than a start budget quarantines no plugin for it', async (t) => {
  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'slow', {}, `import { setTimeout as sleep } from 'node:timers/promises'
  export default { async start ({ routes, log }) {
    log.info('the start has begun')
    for (let step = 0; step < 10; step += 1) await sleep(50)
    routes.get('/', { public: 'a test' }, () => 'pong')
  } }`)
  const host = startHost(t, {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t),
    PLATFORM_PLUGINS_PATH: folder, PLATFORM_PLUGIN_START_BUDGET_MS: String(budgetMs), PLATFORM_ADMIN_PASSWORD: 'correct horse battery'
  })
  await host.line(({ msg }) => msg === 'the start has begun')
  host.signal('SIGSTOP')
  // The freeze itself is what is tested, so its length is a time.
  await sleep(budgetMs + 500)
  host.signal('SIGCONT')
  const { url } = await host.ready()
  assert.equal((await fetch(`${url}/api/slow`)).status, 200)
  assert.doesNotMatch(host.output(), /quarantined/)
})
