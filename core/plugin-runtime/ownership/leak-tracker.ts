// Counts what a plugin makes outside its scope (timers, sockets, servers, process listeners), so that the log can name what it leaves behind.

import { createHook } from 'node:async_hooks'
import { join } from 'node:path'
import { pathOf, placeInFrame, showPath } from '../discovery/plugin-problem.ts'
import type { OwnedKind } from './owned-resources.ts'
import { currentOwner } from './owner.ts'

/** Folder of the plugin runtime; its stack frames are not those of a plugin. */
const runtime = join(import.meta.dirname, '..')

interface Sort {
  readonly kind: OwnedKind
  readonly name: string
  /** True for types so rare that finding their place in the code costs nothing. */
  readonly isPlaced: boolean
}

/** The tracked types, by the names that Node gives them. */
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

/** From now on counts what is made outside a scope in the account of its owner. The returned function ends that. */
export function trackLeaks (): () => void {
  const forget = new Map<number, () => void>()
  // Promises are excluded, because there are too many. Every other type costs one look-up in a table.
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

/**
 * Returns ` at invoices/index.ts:12` for the first stack line that is neither Node's nor the plugin runtime's, or an
 * empty string.
 */
function placeInCode (): string {
  const frame = (new Error().stack ?? '').split('\n').find(line => line.includes('file://') && !line.includes(runtime))
  const found = placeInFrame(frame ?? '')
  return found === undefined ? '' : ` at ${showPath(pathOf(found.place))}:${found.line}`
}
