// Makes one attempt to deliver to a webhook: sends the request, then records the outcome and the next step in one
// transaction.

import { createHmac } from 'node:crypto'
import { AddressRefused, backOff, SealBroken, sql, z } from 'bulkhead'
import type { Clock, Encryption, GuardedFetch, Postgres, QueueRun, Tasks, Transaction } from 'bulkhead'
import type { RecordChange } from './change.ts'
import { send, type Job } from './delivery.ts'
import { deliveryMoves, type DeliveryState, type Move } from './move.ts'
import { contextOf, webhookInEvent } from './webhook.ts'

/** The number of consecutive failed attempts after which a webhook is switched off. */
export const failuresMax = 50
const retryMaxMs = 3_600_000
const errorLengthMax = 500

const Due = z.object({
  webhookId: z.uuid(),
  url: z.string(),
  secret: z.string().nullable(),
  isOn: z.boolean(),
  event: z.string(),
  payload: z.string(),
  projectId: z.uuid(),
  projectName: z.string(),
  ownerId: z.uuid()
})
type Due = z.infer<typeof Due>

interface Outcome {
  readonly answered: number | null
  /** The reason for the failure; null when the delivery arrived. */
  readonly error: string | null
  readonly durationMs: number
}

interface Parts {
  postgres: Postgres
  tasks: Tasks
  clock: Clock
  fetch: GuardedFetch
  encryption: Encryption
  record: RecordChange
  /** The maximum number of attempts of one delivery. */
  attemptsMax: number
  /** The delay before the second attempt; it doubles with each further attempt. */
  retryMs: number
}

export type Attempt = (run: Pick<QueueRun<z.output<typeof Job>>, 'input' | 'signal' | 'tx'>) => Promise<void>

export function createAttempt ({ postgres, tasks, clock, fetch, encryption, record, attemptsMax, retryMs }: Parts): Attempt {
  return async ({ input: { deliveryId, attempt }, signal, tx }) => {
    const due = await postgres.maybeOne(sql.type(Due)`
      select
        w.id as "webhookId", w.url, w.secret, w.active and p.is_active as "isOn", d.event, d.payload,
        p.id as "projectId", p.name as "projectName", p.owner_id as "ownerId"
      from projects.delivery d join webhooks w on w.id = d.webhook_id join projects p on p.id = w.project_id
      where d.id = ${deliveryId} and d.status = 'pending' and d.attempts = ${attempt - 1}
    `)
    // The delivery was deleted with its webhook, or a previous run has recorded this attempt already.
    if (due === null) return
    if (!due.isOn) {
      const { from, to } = deliveryMoves.cancel
      await tx.query(sql.unsafe`
        update projects.delivery set status = ${to}, next_attempt_at = null, error = 'The webhook was switched off, or its project deleted, before this was sent.'
        where id = ${deliveryId} and status = any(${sql.array(from, 'text')})
      `)
      return
    }
    const outcome = await ask(deliveryId, due, signal)
    if (outcome.error === null) await note(tx, { deliveryId, attempt, due, outcome, move: deliveryMoves.deliver, retryInMs: null })
    else await noteFailure(tx, { deliveryId, attempt, due, outcome })
  }

  async function ask (deliveryId: string, { webhookId, url, secret, event, payload }: Due, signal: AbortSignal): Promise<Outcome> {
    const fromMs = clock.now()
    const outcome = (answered: number | null, error: string | null): Outcome => ({ answered, error, durationMs: clock.now() - fromMs })
    try {
      const key = secret === null ? undefined : encryption.open(Buffer.from(secret, 'base64'), contextOf(webhookId))
      const { status } = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-platform-event': event,
          'x-platform-delivery': deliveryId,
          ...key !== undefined && { 'x-platform-signature': `sha256=${createHmac('sha256', key).update(payload).digest('hex')}` }
        },
        // A request that has been sent when the host stops is awaited within the drain; another replica would send it
        // again.
        body: payload, connectTimeout: '5s', timeout: '10s', redirect: 'manual'
      })
      return outcome(status, status >= 200 && status < 300 ? null : `The receiver answered ${status}.`)
    } catch (error) {
      // The plugin has ended, or another replica has the job: this says nothing about the receiver.
      signal.throwIfAborted()
      return outcome(null, explain(error))
    }
  }

  interface Noted { deliveryId: string, attempt: number, due: Due, outcome: Outcome }
  /** Without a move the delivery stays pending, and another attempt follows. */
  interface Next { move: Move<DeliveryState> | undefined, retryInMs: number | null }

  async function noteFailure (tx: Transaction, noted: Noted): Promise<void> {
    const { deliveryId, attempt, due: { webhookId, url, projectId, projectName, ownerId }, outcome } = noted
    const isLast = attempt >= attemptsMax
    const retryInMs = isLast ? null : backOff(attempt, { firstMs: retryMs, maxMs: retryMaxMs })
    const failures = await note(tx, { ...noted, move: isLast ? deliveryMoves.giveUp : undefined, retryInMs })
    if (retryInMs !== null) await send(tasks, tx, { webhookId, deliveryId, attempt: attempt + 1, afterMs: retryInMs })
    if (failures < failuresMax) return

    const reason = `The last ${failures} attempts to reach it failed. ${outcome.error ?? ''}`
    const disabled = await tx.query(sql.unsafe`update webhooks set active = false where id = ${webhookId} and active`)
    if (disabled.rowCount === 0) return
    await tx.query(sql.unsafe`update projects.webhook_state set disabled_at = now(), disabled_why = ${reason} where webhook_id = ${webhookId}`)
    const webhook = webhookInEvent({ id: webhookId, url })
    await record(tx, {
      by: undefined, action: 'webhook.disable', project: { id: projectId, name: projectName, ownerId }, id: webhookId, payload: { webhook, reason }, detail: { ...webhook, reason }
    })
  }

  /** Records an attempt. Resolves with the number of consecutive failed attempts at the webhook. */
  async function note (tx: Transaction, { deliveryId, attempt, due, outcome, move, retryInMs }: Noted & Next): Promise<number> {
    const { webhookId } = due
    const { answered, error, durationMs } = outcome
    const atMs = clock.now()
    const next = retryInMs === null ? null : new Date(atMs + retryInMs).toISOString()
    const written = await tx.query(sql.unsafe`
      update projects.delivery
      set status = ${move?.to ?? 'pending'}, attempts = ${attempt}, answered = ${answered}, error = ${error}, duration_ms = ${durationMs},
        attempted_at = ${new Date(atMs).toISOString()}, next_attempt_at = ${next}
      where id = ${deliveryId} and status = 'pending' and attempts = ${attempt - 1}
    `)
    if (written.rowCount === 0) throw new Error(`the delivery ${deliveryId} was deleted or written by another run meanwhile`)
    const failed = error === null ? 0 : 1
    return tx.oneFirst(sql.type(z.object({ failures: z.int() }))`
      insert into projects.webhook_state as s (webhook_id, failures, disabled_at, disabled_why) values (${webhookId}, ${failed}, null, null)
      on conflict (webhook_id) do update set failures = case when ${failed} = 0 then 0 else s.failures + 1 end
      returning failures
    `)
  }
}

/** Explains a failure to the users who may change the webhook. */
function explain (error: unknown): string {
  // The message is not shown, because it names the address to which a host name resolves inside the host's network.
  if (error instanceof AddressRefused) return 'The address is not one of the public internet.'
  if (error instanceof SealBroken) return 'The secret cannot be opened any more. Set it again.'
  return (Error.isError(error) ? error.message : String(error)).slice(0, errorLengthMax).replaceAll(/\p{Cc}|\p{Cs}/gu, '�')
}
