// A declared task, as a plugin's registration and the host itself hand it to `tasks`.

import type { CronOptions, Duration, QueueHandler, QueueOptions, TaskHandler, TaskOptions } from '../contract/index.ts'

interface DeclaredTask {
  readonly name: string
}

export type TaskRecord =
  | DeclaredTask & { readonly kind: 'every', readonly interval: Duration, readonly options: TaskOptions, readonly handler: TaskHandler }
  | DeclaredTask & { readonly kind: 'cron', readonly expression: string, readonly options: CronOptions, readonly handler: TaskHandler }
  | DeclaredTask & {
    readonly kind: 'queue'
    readonly options: QueueOptions
    readonly handler: QueueHandler
    /** The version of the plugin that declares the queue. */
    readonly version?: string
  }
  /** A subscription to the event with this name. */
  | DeclaredTask & { readonly kind: 'event', readonly handler: QueueHandler }
