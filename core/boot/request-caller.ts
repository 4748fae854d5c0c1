// On whose behalf the running code was called: told by the room that admits requests, asked by the one that shares out what they use.

import { AsyncLocalStorage } from 'node:async_hooks'

const current = new AsyncLocalStorage<string>()

/** The id of the user whose request this is; undefined in background work, and for a request that nobody signed. */
export const findUser = (): string | undefined => current.getStore()

export const runForUser = <Result>(id: string, work: () => Result): Result => current.run(id, work)
