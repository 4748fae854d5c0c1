// What every change leaves behind, in its own transaction: a line in the audit log, and an event for other plugins.

import type { Access, AuditEntry, Clock, Events, RequestContext, Transaction } from 'bulkhead'
import type { Project } from './project.ts'

/** What is done, as the audit log has it, and the event that tells of it. */
const eventOf = {
  'project.create': 'project.created',
  'project.change': 'project.changed',
  'project.delete': 'project.deleted',
  'project.restore': 'project.restored',
  'issue.open': 'issue.opened',
  'issue.change': 'issue.changed',
  'issue.close': 'issue.closed',
  'issue.reopen': 'issue.reopened',
  'comment.create': 'comment.created',
  'comment.change': 'comment.changed',
  'comment.delete': 'comment.deleted',
  'merge-request.open': 'merge-request.opened',
  'merge-request.change': 'merge-request.changed',
  'merge-request.close': 'merge-request.closed',
  'merge-request.reopen': 'merge-request.reopened',
  'merge-request.merge': 'merge-request.merged',
  'merge-request.review': 'merge-request.reviewed',
  // Other plugins need not know it from any other change.
  'merge-request.withdraw-review': 'merge-request.changed'
} as const
export type Action = keyof typeof eventOf

/** Who asks, and from where. */
export type Asker = Pick<RequestContext<{ signedIn: string }>, 'user' | 'ip'>

export interface Change {
  readonly by: Asker
  readonly action: Action
  readonly project: Pick<Project, 'id' | 'name' | 'ownerId'>
  /** By its id: the issue, the comment. */
  readonly id: string
  /** What the event says of it: `{ issue: … }`. */
  readonly payload: Readonly<Record<string, unknown>>
  /** What the audit log keeps. */
  readonly detail?: AuditEntry['detail']
}

export type RecordChange = (tx: Transaction, change: Change) => Promise<void>

export function createRecorder ({ access, events, clock }: { access: Access, events: Events, clock: Clock }): RecordChange {
  return async (tx, { by: { user, ip }, action, project, id, payload, detail }) => {
    const { id: projectId, name, ownerId } = project
    await access.audit.record(tx, {
      actor: user, action, resource: action.slice(0, action.indexOf('.')), resourceId: id, projectId, ...detail !== undefined && { detail }, origin: { address: ip }
    })
    await events.publish(eventOf[action], {
      actor: { id: user.id, name: user.name }, project: { id: projectId, name, ownerId }, at: new Date(clock.now()).toISOString(), ...payload
    }, { in: tx, key: projectId })
  }
}

/** The names of the fields that are to be other than they are. */
export const changedFields = <Thing extends object>(before: Thing, after: Partial<Thing>): (keyof Thing & string)[] =>
  (Object.keys(after) as (keyof Thing & string)[]).filter(key =>
    after[key] !== undefined && JSON.stringify(after[key]) !== JSON.stringify(before[key]))
