// Decides which plugin may publish which event: an event belongs to the plugin whose manifest declares it.

import type { Log, Manifest } from '../../contract/index.ts'
import { showPath } from './plugin-problem.ts'

export class EventNotOwned extends Error {
  readonly code = 'BULKHEAD_EVENT_NOT_OWNED'

  constructor (plugin: string, event: string, owner: string, file: string) {
    super(`Plugin "${plugin}" published the event "${event}", which belongs to the plugin "${owner}": only that plugin publishes it. ` +
      `Publish an event of your own, declared in "events" in ${showPath(file)}.`)
    this.name = 'EventNotOwned'
  }
}

interface Declaring {
  readonly id: string
  readonly manifest: Pick<Manifest, 'events'>
}

/** Returns the owner's id for each event. If two plugins declare the same event, the first one owns it. */
export function findEventOwners (plugins: readonly Declaring[]): Map<string, string> {
  const owners = new Map<string, string>()
  for (const { id, manifest: { events } } of plugins) {
    for (const event of Object.keys(events)) if (!owners.has(event)) owners.set(event, id)
  }
  return owners
}

/** Throws `EventNotOwned` for an event of another plugin. */
export type MayPublish = (event: string) => void

/**
 * Most warnings about undeclared events for one plugin. Event names may be made at run time, so the log needs this
 * limit.
 */
const warnedMax = 50

export interface MayPublishDeps {
  readonly plugin: Declaring & { readonly file: string }
  ownerOf (event: string): string | undefined
  readonly log: Pick<Log, 'warn'>
  /** The undeclared events that the log has warned about, for any generation of the plugin. */
  readonly warned: Set<string>
}

export function createMayPublish ({ plugin: { id, manifest, file }, ownerOf, log, warned }: MayPublishDeps): MayPublish {
  return event => {
    if (Object.hasOwn(manifest.events, event)) return
    const owner = ownerOf(event)
    if (owner !== undefined && owner !== id) throw new EventNotOwned(id, event, owner, file)
    if (warned.has(event) || warned.size >= warnedMax) return
    warned.add(event)
    log.warn({ event }, `plugin "${id}" publishes the event "${event}", which no plugin declares: add "${event}" to "events" in ${showPath(file)}. ` +
      'The next major version of the host refuses an event that is not declared.')
  }
}
