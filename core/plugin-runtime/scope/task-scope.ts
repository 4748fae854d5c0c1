// The `tasks` and `events` of a scope: declarations go into the registration; jobs and events that are sent go to the module that stores them.

import {
  InputUnfit, ValidationFailed, type CronOptions, type Duration, type Events, type QueueHandler, type QueueOptions, type SendOptions,
  type QueueRun, type TaskHandler, type TaskOptions, type TaskRun, type Tasks, type z
} from '../../contract/index.ts'
import { findUnstorable } from '../../contract/storable.ts'
import type { TaskRecord } from '../../handover/task-record.ts'
import type { MayPublish } from '../discovery/event-owner.ts'
import { findNearest, quoteList } from '../discovery/nearest.ts'
import type { Fence } from '../ownership/fence.ts'
import { bindSignal, bindTo, runAs, type Owner } from '../ownership/owner.ts'
import type { Registration } from './registration.ts'

/** Everything that other modules of the host do for a plugin's tasks and events. */
export interface TaskScope {
  /** Sends a job. The caller has already checked that the input fits the queue. */
  send (plugin: string, queue: QueueRecord, input: unknown, options?: SendOptions): Promise<string>
  publish (plugin: string, event: string, payload: unknown, options?: Pick<SendOptions, 'in' | 'key'>): Promise<void>
  broadcast (event: string, payload: unknown): Promise<void>
  /** Resolves once the subscription is active, with the function that ends it. */
  hear (event: string, schema: z.ZodType, handler: (payload: unknown) => void | Promise<void>): Promise<() => Promise<void>>
}

type QueueRecord = TaskRecord & { readonly kind: 'queue' }

export class UnknownQueue extends Error {
  readonly code = 'BULKHEAD_UNKNOWN_QUEUE'

  constructor (plugin: string, name: string, names: readonly string[]) {
    const nearest = findNearest(name, names)
    super(`Plugin "${plugin}" sent to "${name}", but it declares ${names.length === 0 ? 'no queue' : `the queues ${quoteList(names)}`}. ` +
      (nearest === undefined ? 'Declare it with tasks.queue before "start" returns.' : `Did you mean "${nearest}"?`))
    this.name = 'UnknownQueue'
  }
}

interface WorkParts {
  readonly id: string
  readonly version: string
  readonly registration: Registration
  readonly fence: Fence
  readonly owner: Owner
  readonly work: TaskScope
}

export function createTasks ({ id, version, registration, fence, owner, work }: WorkParts): Tasks {
  const read = <O>(rest: readonly [TaskHandler] | readonly [O, TaskHandler]): { options: O | Record<never, never>, handler: TaskHandler } =>
    rest.length === 1 ? { options: {}, handler: own(owner, rest[0], none) } : { options: rest[0], handler: own(owner, rest[1], none) }
  return {
    every: (name: string, interval: Duration, ...rest: [TaskHandler] | [TaskOptions, TaskHandler]) => {
      registration.check(`the task "${name}"`)
      registration.tasks.push({ kind: 'every', name, interval, ...read(rest) })
    },
    cron: (name: string, expression: string, ...rest: [TaskHandler] | [CronOptions, TaskHandler]) => {
      registration.check(`the task "${name}"`)
      registration.tasks.push({ kind: 'cron', name, expression, ...read(rest) })
    },
    queue: <Input extends z.ZodType>(name: string, options: QueueOptions<Input>, handler: QueueHandler<z.output<Input>>) => {
      registration.check(`the queue "${name}"`)
      registration.tasks.push({
        kind: 'queue', name, options, version,
        handler: own(owner, handler, ({ input }: QueueRun) => ({ input: parse(options.input, input, `a job of "${name}"`) }))
      })
    },
    send: async (name, input, options) => {
      fence.check()
      const queues = registration.tasks.filter((task): task is QueueRecord => task.kind === 'queue')
      const queue = queues.find(task => task.name === name)
      if (queue === undefined) throw new UnknownQueue(id, name, queues.map(task => task.name))
      checkInput(queue.options.input, input, name)
      return runAs(undefined, () => work.send(id, queue, input, options))
    }
  }
}

interface EventParts extends Omit<WorkParts, 'version'> { readonly mayPublish: MayPublish }

export function createEvents ({ id, registration, fence, owner, work, mayPublish }: EventParts): Events {
  return {
    publish: async (name, payload, options) => {
      fence.check()
      mayPublish(name)
      await runAs(undefined, () => work.publish(id, name, payload, options))
    },
    on: (name, schema, handler) => {
      registration.check(`the subscription to "${name}"`)
      registration.tasks.push({
        kind: 'event', name, handler: own(owner, handler, ({ input }: QueueRun) => ({ payload: parse(schema, input, `the event "${name}"`) }))
      })
    },
    broadcast: async (name, payload) => {
      fence.check()
      mayPublish(name)
      checkStorable(name, payload)
      await runAs(undefined, () => work.broadcast(name, payload))
    },
    onBroadcast: (event, schema, handler) => {
      registration.check(`the subscription to broadcasts of "${event}"`)
      registration.hearings.push({ event, schema, handler: bindTo(owner, handler as (payload: unknown) => void | Promise<void>) })
    }
  }
}

/**
 * Makes the handler run as code of the owner, and the listeners of its signal too. `more` adds what this kind of run
 * has beyond every run. A value that is not a function is returned unchanged: it is reported later, together with the
 * problems of all tasks.
 */
function own<Run extends TaskRun, More extends object> (
  owner: Owner, handler: (run: TaskRun & More) => void | Promise<void>, more: (run: Run) => More
): (run: Run) => void | Promise<void> {
  if (typeof handler !== 'function') return handler
  return run => runAs(owner, () => handler(Object.assign(narrow(owner, run), more(run))))
}

const none = (): object => ({})

/** Returns what every run has. Properties are made on access, as in the run itself. */
function narrow (owner: Owner, run: TaskRun): TaskRun {
  const { id, attemptId, attempt } = run
  let signal: AbortSignal | undefined
  return {
    id, attemptId, attempt,
    get signal () { return (signal ??= bindSignal(owner, run.signal)) },
    get log () { return run.log },
    get tx () { return run.tx }
  }
}

/** Input sent by another version or by another plugin may not fit this schema. */
function parse<Schema extends z.ZodType> (schema: Schema, value: unknown, what: string): z.output<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new InputUnfit(`${what} does not fit its schema: ${result.error.issues.map(({ path, message }) => `${path.join('.') || 'input'}: ${message}`).join('; ')}`)
}

/** A broadcast may contain the same values as an event, although no database stores it. */
function checkStorable (event: string, payload: unknown): void {
  const text = JSON.stringify(payload) as string | undefined
  const found = text === undefined ? undefined : findUnstorable(text)
  if (found === undefined) return
  const path = found.path === '' ? 'payload' : `payload.${found.path}`
  throw new ValidationFailed([{ path, message: found.fault }], { message: `The broadcast of "${event}" cannot be sent like this: "${path}" ${found.fault}.` })
}

/**
 * Checks the input as JSON, which is how it is stored: a value that does not survive JSON is refused here, not by the
 * handler.
 */
function checkInput (schema: z.ZodType, input: unknown, queue: string): void {
  const text = JSON.stringify(input) as string | undefined
  const result = schema.safeParse(text === undefined ? undefined : JSON.parse(text))
  if (result.success) return
  const errors = result.error.issues.map(({ path, message }) => ({ path: ['input', ...path].join('.'), message }))
  throw new ValidationFailed(errors, { message: `What was sent to "${queue}" does not fit: ${errors.map(({ path, message }) => `${path}: ${message}`).join('; ')}` })
}
