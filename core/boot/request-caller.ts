// Carries the id of the user whose request the running code serves. HTTP sets it; Postgres reads it to share out its connections, and access
// reads it, too.

import { AsyncLocalStorage } from 'node:async_hooks'

const current = new AsyncLocalStorage<string>()

/** The id of the user whose request this is; undefined in background work, and for an anonymous request. */
export const findUser = (): string | undefined => current.getStore()

export const runForUser = <Result>(id: string, work: () => Result): Result => current.run(id, work)
