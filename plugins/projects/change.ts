// Records every change in its own transaction: an audit log entry, an event for other plugins, and webhook deliveries.

import type { Access, AuditEntry, Clock, Events, RequestContext, Transaction } from 'bulkhead'
import type { Project } from './project.ts'
import type { HookEvent } from './webhook.ts'

interface Telling {
  /** The event for other plugins. */
  readonly event: string
  /** The event for webhooks. */
  readonly hook?: HookEvent
}

/** Maps each audited action to the events that report it. */
const tellings = {
  'project.create': { event: 'project.created' },
  'project.change': { event: 'project.changed' },
  'project.delete': { event: 'project.deleted' },
  'project.restore': { event: 'project.restored' },
  'issue.open': { event: 'issue.opened', hook: 'issue' },
  'issue.change': { event: 'issue.changed', hook: 'issue' },
  'issue.close': { event: 'issue.closed', hook: 'issue' },
  'issue.reopen': { event: 'issue.reopened', hook: 'issue' },
  'comment.create': { event: 'comment.created', hook: 'comment' },
  'comment.change': { event: 'comment.changed', hook: 'comment' },
  'comment.delete': { event: 'comment.deleted', hook: 'comment' },
  'merge-request.open': { event: 'merge-request.opened', hook: 'mr' },
  'merge-request.change': { event: 'merge-request.changed', hook: 'mr' },
  'merge-request.close': { event: 'merge-request.closed', hook: 'mr' },
  'merge-request.reopen': { event: 'merge-request.reopened', hook: 'mr' },
  'merge-request.merge': { event: 'merge-request.merged', hook: 'mr' },
  'merge-request.review': { event: 'merge-request.reviewed', hook: 'mr' },
  // A withdrawn review is reported like any other change, because other plugins need not distinguish it.
  'merge-request.withdraw-review': { event: 'merge-request.changed', hook: 'mr' },
  'webhook.create': { event: 'webhook.created' },
  'webhook.change': { event: 'webhook.changed' },
  'webhook.delete': { event: 'webhook.deleted' },
  'webhook.disable': { event: 'webhook.disabled' }
} as const satisfies Record<string, Telling>
export type Action = keyof typeof tellings

/** The caller and the address of the request. */
export type Asker = Pick<RequestContext<{ signedIn: string }>, 'user' | 'ip'>

export interface Change {
  /** The caller; undefined for a change that the host makes by itself. */
  readonly by: Asker | undefined
  readonly action: Action
  readonly project: Pick<Project, 'id' | 'name' | 'ownerId'>
  /** The id of the changed thing: the issue, the comment. */
  readonly id: string
  /** The fields that describe the change in the event: `{ issue: … }`. */
  readonly payload: Readonly<Record<string, unknown>>
  /** The details for the audit log. */
  readonly detail?: AuditEntry['detail']
}

export type RecordChange = (tx: Transaction, change: Change) => Promise<void>

/** Adds deliveries to the webhooks of a project, in the transaction. */
export type Announce = (tx: Transaction, projectId: string, event: HookEvent, payload: Readonly<Record<string, unknown>>) => Promise<void>

interface Parts { access: Access, events: Events, clock: Clock, announce: Announce }

export function createRecorder ({ access, events, clock, announce }: Parts): RecordChange {
  return async (tx, { by, action, project: { id: projectId, name, ownerId }, id, payload: thing, detail }) => {
    const { event, hook }: Telling = tellings[action]
    await access.audit.record(tx, {
      actor: by?.user, action, resource: action.slice(0, action.indexOf('.')), resourceId: id, projectId,
      ...detail !== undefined && { detail }, ...by !== undefined && { origin: { address: by.ip } }
    })
    const actor = by === undefined ? host : { id: by.user.id, name: by.user.name }
    const payload = { actor, project: { id: projectId, name, ownerId }, at: new Date(clock.now()).toISOString(), ...thing }
    await events.publish(event, payload, { in: tx, key: projectId })
    if (hook !== undefined) await announce(tx, projectId, hook, { action: event, ...payload })
  }
}

/** The actor of changes by the host, as in the audit log. */
const host = { id: '00000000-0000-0000-0000-000000000000', name: 'host' }

/** Lists the names of the fields whose values differ. */
export const changedFields = <Thing extends object>(before: Thing, after: Partial<Thing>): (keyof Thing & string)[] =>
  (Object.keys(after) as (keyof Thing & string)[]).filter(key =>
    after[key] !== undefined && JSON.stringify(after[key]) !== JSON.stringify(before[key]))
