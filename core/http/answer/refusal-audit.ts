// Selects the refused requests that go to the audit log: those with a credential that the guard refused, and all that
// are answered 403.

import type { RefusalFacts } from '../../access/index.ts'
import type { User } from '../../contract/index.ts'
import type { Exchange } from '../exchange.ts'
import { hasCredential } from '../request/credential.ts'
import { addressOf } from '../request/forwarded.ts'
import type { Problem } from './problem-details.ts'

/** Called just before the refusal is sent, so it must neither block nor throw: slow work runs in the background. */
export type NoteRefused = (user: User | undefined, facts: RefusalFacts) => void

export function createRefusalNoter (noteRefused: NoteRefused, trustProxyHops: number): (exchange: Exchange, problem: Problem) => void {
  return (exchange, { status, body }) => {
    const { req, requestId, route, caller, projectId, isAdmitted } = exchange
    if (route === undefined) return
    const isGuards = !isAdmitted && ((status === 401 && hasCredential(req)) || status === 404)
    if (!isGuards && status !== 403) return
    noteRefused(caller, {
      plugin: route.record.plugin, method: req.method ?? '', route: route.path, status, reason: body.detail, requestId, address: addressOf(req, trustProxyHops), projectId
    })
  }
}
