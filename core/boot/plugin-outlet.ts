// Connects what plugins send out: tasks, events, broadcasts and fetches.

import type { GuardedFetch, Valkey } from '../contract/index.ts'
import { runAs, type TaskScope } from '../plugin-runtime/index.ts'
import type { EgressSettings } from '../resources/egress/egress.ts'
import type { TaskRunner } from '../tasks/index.ts'

export const createWork = (tasks: TaskRunner, valkey: Valkey): TaskScope => ({
  send: (...args) => tasks.send(...args),
  publish: (...args) => tasks.publish(...args),
  broadcast: (event, payload) => valkey.publish(broadcastChannel(event), payload),
  hear: (event, schema, handler) => valkey.subscribe(broadcastChannel(event), schema, handler)
})

/** No plugin can have the id "bulkhead", so no plugin reaches the channel through its own handle on valkey, which writes under `<id>:`. */
const broadcastChannel = (event: string): string => `bulkhead:events:${event}`

/** Imports the egress module on the first fetch of a plugin, because most plugins fetch nothing. */
export function createFetch (settings: EgressSettings): GuardedFetch {
  let opening: Promise<GuardedFetch> | undefined
  return async (...args) => {
    // The import runs as the host, because a plugin cannot import the host's own files.
    opening ??= runAs(undefined, () => import('../resources/egress/egress.ts')).then(({ createEgress }) => createEgress(settings))
    return (await opening)(...args)
  }
}
