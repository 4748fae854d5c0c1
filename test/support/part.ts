// What an `open…` function is given, in tests that run on the real clock.

import { realClock as clock } from '../../core/boot/system-clock.ts'
import type { Log } from '../../core/contract/index.ts'
import type { OpenParts } from '../../core/handover/resource.ts'

export { clock }

/** `entries` receives what is logged: the facts, with the sentence as `message`. */
export function createLog (entries: object[] = []): Log {
  const write = (facts: object | string, message?: string) =>
    void entries.push(typeof facts === 'string' ? { message: facts } : { ...facts, message })
  return { trace: write, debug: write, info: write, warn: write, error: write, fatal: write, child: () => createLog(entries) }
}

export const openParts = (parts: Partial<OpenParts> = {}): OpenParts =>
  ({ log: createLog(), clock, signal: new AbortController().signal, ...parts })
