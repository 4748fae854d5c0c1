// Counts what a plugin makes without its scope (timers, sockets, servers, listeners of the process), so that what it leaves behind is told by name.

import { createHook } from 'node:async_hooks'
import { join } from 'node:path'
import { pathOf, placeInFrame, showPath } from '../discovery/plugin-problem.ts'
import type { OwnedKind } from './owned-resources.ts'
import { currentOwner } from './owner.ts'

/** Frames of the room's own code are not the plugin's. */
const runtime = join(import.meta.dirname, '..')

interface Sort {
  readonly kind: OwnedKind
  readonly name: string
  /** Rare enough that looking for the place in the code costs nothing. */
  readonly isPlaced: boolean
}

/** By what Node calls them. */
const sorts: Readonly<Record<string, Sort>> = {
  Timeout: { kind: 'timers', name: 'a setTimeout', isPlaced: false },
  TCPWRAP: { kind: 'connections', name: 'a TCP socket', isPlaced: false },
  PIPEWRAP: { kind: 'connections', name: 'a Unix socket', isPlaced: false },
  UDPWRAP: { kind: 'connections', name: 'a UDP socket', isPlaced: true },
  TCPSERVERWRAP: { kind: 'others', name: 'a TCP server', isPlaced: true },
  PIPESERVERWRAP: { kind: 'others', name: 'a Unix server', isPlaced: true },
  PROCESSWRAP: { kind: 'others', name: 'a child process', isPlaced: true },
  WORKER: { kind: 'others', name: 'a worker', isPlaced: true },
  FSEVENTWRAP: { kind: 'others', name: 'a file watcher', isPlaced: true },
  STATWATCHER: { kind: 'others', name: 'a file watcher', isPlaced: true }
}
const interval: Sort = { kind: 'timers', name: 'a setInterval', isPlaced: true }

/** From here on strays are counted in the account of whoever makes them. Call the result to end that. */
export function trackLeaks (): () => void {
  const forget = new Map<number, () => void>()
  // Without promises, which are too many; the rest costs a look into a table.
  const hook = createHook({
    trackPromises: false,
    init (asyncId, type, _triggerId, resource) {
      const sort = sorts[type]
      if (sort === undefined) return
      const owner = currentOwner()
      if (owner === undefined) return
      const { kind, name, isPlaced } = type === 'Timeout' && isRepeated(resource) ? interval : sort
      forget.set(asyncId, owner.account.open(kind, isPlaced ? `${name}${placeInCode()}` : name))
    },
    destroy (asyncId) {
      forget.get(asyncId)?.()
      forget.delete(asyncId)
    }
  }).enable()

  const listeners = new Map<unknown, (() => void)[]>()
  const added = (event: string | symbol, listener: unknown): void => {
    const owner = currentOwner()
    if (owner === undefined) return
    const closed = owner.account.open('listeners', `process.on("${String(event)}")${placeInCode()}`)
    listeners.set(listener, [...listeners.get(listener) ?? [], closed])
  }
  const removed = (_event: string | symbol, listener: unknown): void => {
    const [closed, ...more] = listeners.get(listener) ?? []
    closed?.()
    if (more.length > 0) listeners.set(listener, more)
    else listeners.delete(listener)
  }
  process.on('newListener', added).on('removeListener', removed)
  return () => {
    hook.disable()
    process.off('newListener', added).off('removeListener', removed)
  }
}

const isRepeated = (timeout: object): boolean => typeof (timeout as { _repeat?: unknown })._repeat === 'number'

/** ` at invoices/index.ts:12`: the first line of the stack that is not Node's and not the host's, or nothing. */
function placeInCode (): string {
  const frame = (new Error().stack ?? '').split('\n').find(line => line.includes('file://') && !line.includes(runtime))
  const found = placeInFrame(frame ?? '')
  return found === undefined ? '' : ` at ${showPath(pathOf(found.place))}:${found.line}`
}
