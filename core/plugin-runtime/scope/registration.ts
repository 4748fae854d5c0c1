// Collects the routes and tasks that a plugin declares while it starts. They are put to use together after the start, or not at all.

import type { Routes, z } from '../../contract/index.ts'
import type { RouteRecord } from '../../handover/route-record.ts'
import { methods } from '../../contract/route.ts'
import type { TaskRecord } from '../../handover/task-record.ts'
import type { Candidate } from '../discovery/discover.ts'
import { quoteList } from '../discovery/nearest.ts'
import { showPath } from '../discovery/plugin-problem.ts'
import type { Fence } from '../ownership/fence.ts'
import { bindTo, type Owner } from '../ownership/owner.ts'

/** The middleware type of Koa. */
export type Middleware = Parameters<Routes['use']>[0]

export class RegistrationClosed extends Error {
  readonly code = 'BULKHEAD_REGISTRATION_CLOSED'

  constructor (pluginId: string, what: string) {
    super(`Plugin "${pluginId}" declared ${what} after its start had ended. Declare it before "start" returns or resolves.`)
    this.name = 'RegistrationClosed'
  }
}

export class UnknownMount extends Error {
  readonly code = 'BULKHEAD_UNKNOWN_MOUNT'

  constructor ({ id, manifest: { mounts }, file }: Candidate, mount: string) {
    super(`Plugin "${id}" declared routes at "${mount}", but its mounts are ${quoteList(mounts) || 'none'}. Add "${mount}" to "mounts" in ${showPath(file)}.`)
    this.name = 'UnknownMount'
  }
}

/** A subscription of the plugin to a broadcast event. */
export interface Hearing {
  readonly event: string
  readonly schema: z.ZodType
  readonly handler: (payload: unknown) => void | Promise<void>
}

export class Registration {
  readonly routes: RouteRecord[] = []
  readonly middleware: Middleware[] = []
  readonly tasks: TaskRecord[] = []
  readonly hearings: Hearing[] = []
  readonly #candidate: Candidate
  readonly #fence: Fence
  readonly #owner: Owner
  #isOpen = true

  constructor (candidate: Candidate, fence: Fence, owner: Owner) {
    this.#candidate = candidate
    this.#fence = fence
    this.#owner = owner
  }

  close (): void {
    this.#isOpen = false
  }

  /** Throws when the plugin may not declare anything any more. */
  check (what: string): void {
    this.#fence.check()
    if (!this.#isOpen) throw new RegistrationClosed(this.#candidate.id, what)
  }

  createRoutes (): Routes {
    const { id, manifest: { mounts } } = this.#candidate
    const at = (mount: string | undefined): Routes => {
      if (mount === undefined || !mounts.includes(mount)) throw new UnknownMount(this.#candidate, mount ?? id)
      return createRoutes(mount)
    }
    // A plugin written in JavaScript may omit anything. The problems of all routes are reported later, together.
    const createRoutes = (mount: string | undefined): Routes => ({
      ...Object.fromEntries(methods.map(method => [method, (path: string, options: RouteRecord['options'], handler: RouteRecord['handler']) => {
        this.check(`the route ${method.toUpperCase()} ${path}`)
        if (mount === undefined) throw new UnknownMount(this.#candidate, id)
        this.routes.push({ plugin: id, mount, method, path, options, handler: bindTo(this.#owner, handler) })
      }])) as unknown as Omit<Routes, 'at' | 'use'>,
      at,
      use: middleware => {
        this.check('middleware')
        this.middleware.push(bindTo(this.#owner, middleware))
      }
    })
    return createRoutes(mounts[0])
  }
}
