// A replica's tasks on a database of the test's own, with its own pool, as the host has them.

import type { TestContext } from 'node:test'
import { z, type Postgres, type QueueHandler, type QueueOptions, type SendOptions } from '../../core/contract/index.ts'
import type { TaskRecord } from '../../core/handover/task-record.ts'
import { openTasks, type TaskRunner, type TaskSettings } from '../../core/tasks/index.ts'
import { createLog, openParts } from '../support/part.ts'
import { connectTasks, openTestPostgres } from '../support/postgres.ts'
import { undo } from '../support/undo.ts'

export interface LogEntry { message?: string, err?: Error, attemptId?: string }

export interface House {
  readonly tasks: TaskRunner
  readonly postgres: Postgres
  readonly entries: LogEntry[]
  /** Ended after the test, before the queue closes. */
  register (plugin: string, ...tasks: TaskRecord[]): Promise<() => Promise<void>>
}

export async function openHouse (t: TestContext, url: string, settings: Partial<TaskSettings> = {}): Promise<House> {
  const entries: LogEntry[] = []
  const { plugin: postgres } = await openTestPostgres(t, { url, poolMax: 10 })
  const resource = await openTasks(
    { connections: connectTasks(url), maxConnections: 4, historyHours: 1, drainMs: 200, ...settings },
    openParts({ log: createLog(entries) })
  )
  undo(t, () => resource.close())
  return {
    tasks: resource.value,
    postgres,
    entries,
    register: async (plugin, ...tasks) => {
      const end = await resource.value.register({ plugin, log: createLog(entries), tasks, postgres })
      let ending: Promise<void> | undefined
      const once = (): Promise<void> => (ending ??= end())
      undo(t, once)
      return once
    }
  }
}

type QueueRecord = TaskRecord & { readonly kind: 'queue' }

export const queue = (name: string, handler: QueueHandler<never>, options: Partial<QueueOptions> = {}): QueueRecord =>
  ({ kind: 'queue', name, options: { input: z.unknown(), ...options }, handler: handler as QueueHandler })

export const event = (name: string, handler: QueueHandler<never>): TaskRecord => ({ kind: 'event', name, handler: handler as QueueHandler })

/** Sends as the plugin `notes` does. */
export const send = (house: House, record: QueueRecord, input: unknown, options?: SendOptions): Promise<string> => house.tasks.send('notes', record, input, options)
