// Sends jobs to queues, and events to the queues of their subscribers, in the caller's transaction if there is one.

import { readDuration } from '../../contract/duration.ts'
import { PayloadTooLarge, ValidationFailed, type SendOptions } from '../../contract/index.ts'
import { faultOf, findUnstorable } from '../../contract/storable.ts'
import type { TaskRecord } from '../../handover/task-record.ts'
import { refuseAway, type NewJob, type Queues } from './queue.ts'
import { eventNameRule, eventTerms, isEventName, isScheduled, keyedQueue, readTasks, retryPolicyOf, type QueueDefinition } from './task-definition.ts'

type QueueRecord = TaskRecord & { readonly kind: 'queue' }

export interface Sender {
  /** `input` is stored as it is: the caller has validated it. */
  send (plugin: string, queue: QueueRecord, input: unknown, options?: SendOptions): Promise<string>
  publish (plugin: string, event: string, payload: unknown, options?: Pick<SendOptions, 'in' | 'key'>): Promise<void>
}

const inputBytesMax = 1_000_000
const keyCharactersMax = 200
const priorityMax = 1_000_000

/** `reach` must reject only with errors that the caller may see. */
export function createSender (reach: () => Promise<Queues>): Sender {
  const put = async (queues: Queues, name: string, job: NewJob, { in: tx }: SendOptions): Promise<string | undefined> => {
    const source = job.key === undefined ? name : keyedQueue(name)
    try {
      await queues.ensure(source, job.key === undefined ? 'standard' : 'key_strict_fifo')
      return await queues.send(source, job, tx)
    } catch (error) {
      return refuseAway(error)
    }
  }
  return {
    send: async (plugin, record, input, options = {}) => {
      const plan = queuePlanOf(plugin, record)
      const job = { ...readSend(`a job of "${plan.name}"`, input, options), ...retryPolicyOf(plan), sender: plugin, version: plan.version }
      const id = await put(await reach(), plan.name, job, options)
      if (id === undefined) throw new Error(`the job for "${plan.name}" was not stored`)
      return id
    },
    publish: async (plugin, event, payload, options = {}) => {
      if (!isEventName(event)) throw new TypeError(`The event "${event}" cannot be published: ${eventNameRule}.`)
      const job = { ...readSend(`the event "${event}"`, payload, options), ...eventTerms, sender: plugin }
      const queues = await reach()
      for (const name of await queues.subscribers(event, plugin, options.in).catch(refuseAway)) await put(queues, name, job, options)
    }
  }
}

const queuePlans = new WeakMap<TaskRecord, QueueDefinition>()

function queuePlanOf (plugin: string, record: QueueRecord): QueueDefinition {
  const known = queuePlans.get(record)
  if (known !== undefined) return known
  const [plan] = readTasks(plugin, [record])
  if (plan === undefined || isScheduled(plan)) throw new TypeError(`"${record.name}" is not a queue`)
  queuePlans.set(record, plan)
  return plan
}

/** Checks input and options, because a plugin in JavaScript may pass any value. `what` names the job or event in error messages. */
function readSend (what: string, input: unknown, { in: tx, key, after, priority }: SendOptions): Pick<NewJob, 'input' | 'key' | 'afterMs' | 'priority'> {
  const text = JSON.stringify(input) as string | undefined
  if (text !== undefined && Buffer.byteLength(text) > inputBytesMax) {
    throw new PayloadTooLarge(`A job holds ${inputBytesMax / 1_000_000} MB of JSON at most; put what is larger into the storage, and its key into the job.`)
  }
  const wrong = (path: string, message: string): never => {
    throw new ValidationFailed([{ path, message }], { message: `${what.replace(/^./, first => first.toUpperCase())} cannot be sent like this: "${path}" ${message}.` })
  }
  const unstorable = text === undefined ? undefined : findUnstorable(text)
  if (unstorable !== undefined) wrong(unstorable.path === '' ? 'input' : `input.${unstorable.path}`, unstorable.fault)
  if (tx !== undefined && typeof (tx as Partial<typeof tx>).query !== 'function') wrong('in', 'must be the transaction that postgres.transaction gives')
  if (key !== undefined && !(typeof (key as unknown) === 'string' && key.length >= 1 && key.length <= keyCharactersMax)) wrong('key', `must have 1 to ${keyCharactersMax} characters`)
  const faultOfKey = key === undefined ? undefined : faultOf(key)
  if (faultOfKey !== undefined) wrong('key', `holds ${faultOfKey}`)
  if (priority !== undefined && !(Number.isInteger(priority) && Math.abs(priority) <= priorityMax)) wrong('priority', 'must be a whole number, at most a million')
  const afterMs = after === undefined ? undefined : readDuration(after)
  if (after !== undefined && afterMs === undefined) wrong('after', `must be milliseconds or such as "30s" or "5m", not ${JSON.stringify(after)}`)
  return { input, key, ...afterMs !== undefined && { afterMs }, ...priority !== undefined && { priority } }
}
