// A plugin's queue as its plugin has it: what it sends is checked, its handler runs as its code and what that makes is counted. With `tx` as the
// setting it does something in its transaction.

import { sql, z } from '../../core/contract/index.ts'
import { trackLeaks, createContainer } from '../../core/plugin-runtime/index.ts'
import { createScope } from '../../core/plugin-runtime/scope/scope.ts'
import { openPostgres } from '../../core/resources/postgres/postgres-resource.ts'
import { openTasks } from '../../core/tasks/index.ts'
import { inMemory, noWork, refuse, silent } from '../plugin-runtime/fixture.ts'
import { clock, openParts } from '../support/part.ts'
import { connectTasks, postgresSettings } from '../support/postgres.ts'
import { concurrency, connections, serve, setting, url, type Payload } from './task-peer.ts'

trackLeaks()
const isExact = setting === 'tx'
const log = { ...silent, warn: console.warn, error: console.error }
// As many as the others have: for `tx` the plugin's own are most of them.
const poolMax = isExact ? connections - 2 : 1
const settings = { ...postgresSettings, url, poolMax, acquireTimeoutMs: 30_000, acquireQueueMax: 10_000 }
const { value: { host: postgres } } = await openPostgres(settings, openParts({ log }))
const { value: tasks } = await openTasks(
  { connections: connectTasks(url), maxConnections: isExact ? 2 : connections, historyHours: 1, drainMs: 10_000 },
  openParts({ log })
)
const { candidate, owner } = inMemory('bench', { start () { /* below */ } }, { resources: ['postgres'] })
const { scope, registration } = createScope({
  container: createContainer({ postgres: () => postgres }), candidate, owner, config: {}, log, clock, services: new Map(),
  signal: new AbortController().signal, undo: () => undefined, onFault: console.error,
  work: { ...noWork, send: (...args) => tasks.send(...args) }, mayPublish: () => undefined, fetch: refuse
})
let handle: (payload: Payload) => void = () => undefined
const input = z.object({ at: z.int(), to: z.string() })
if (isExact) {
  scope.tasks.queue('deliver', { input, concurrency: connections - 2 }, async ({ input, tx }) => {
    handle(input)
    await tx.query(sql.unsafe`insert into public.effect (at) values (${input.at})`)
  })
} else scope.tasks.queue('deliver', { input, concurrency }, ({ input }) => handle(input))

serve({
  send: payload => scope.tasks.send('deliver', payload),
  work: async given => {
    handle = given
    return tasks.register({ plugin: 'bench', log, tasks: registration.tasks, postgres: scope.postgres })
  }
})
