// Writes log lines to a file descriptor without ever blocking or throwing. Lines that cannot be written are stored up to
// a limit; further lines are dropped and counted.

import { openSync, writeSync, constants } from 'node:fs'

export interface LogOutput {
  /**
   * Writes whole lines before it returns, or stores them until they can be written. Never throws. Lines that are not
   * urgent are written together at the end of this turn of the event loop, because each write is a system call.
   */
  write (lines: string, isUrgent?: boolean): void
  /** Writes stored text, for at most `budgetMs`. The event loop stands still meanwhile, so this is for the exit. */
  flush (budgetMs: number): void
  /** Says what is wrong and how many lines wait and were lost. Undefined while lines are written. */
  findProblem (): string | undefined
}

interface LogOutputDeps {
  /** Must not block: see `openStandardOutput`. */
  readonly fd: number
  /** Called when lines can be stored again after some were lost. It may write a line. */
  onLost (lost: number, reason: string): void
}

/** Most bytes that are stored: thousands of lines. */
const storedBytesMax = 1024 * 1024
/** After lines were lost, lines are stored again once this part of the storage is free. */
const freePart = 0.5
const retryMs = { first: 10, max: 500 }
/** Characters of lines that wait for the end of the turn; with more they are written at once. */
const turnLengthMax = 16 * 1024

export function createLogOutput ({ fd, onLost }: LogOutputDeps): LogOutput {
  const stored: Buffer[] = []
  let storedBytes = 0
  let lost = 0
  let ofTurn = ''
  let isTurnWatched = false
  let reason: string | undefined
  let timer: NodeJS.Timeout | undefined
  let pauseMs = retryMs.first

  /** Returns how many bytes were written; 0 when the descriptor takes none at present. */
  const tryWrite = (bytes: Buffer): number => {
    try {
      return writeSync(fd, bytes)
    } catch (error) {
      reason = explain(error as NodeJS.ErrnoException)
      return 0
    }
  }

  const store = (bytes: Buffer): void => {
    stored.push(bytes)
    storedBytes += bytes.length
    timer ??= setTimeout(retry, pauseMs).unref()
  }

  const take = (lines: string): void => {
    const bytes = Buffer.from(lines)
    if (storedBytes + bytes.length > (lost === 0 ? storedBytesMax : storedBytesMax * freePart)) { lost += lines.split('\n').length - 1; return }
    announceLost()
    if (storedBytes > 0) { store(bytes); return }
    const written = tryWrite(bytes)
    if (written === bytes.length) return
    // A pipe takes as much as it has room for.
    if (written > 0) reason = slowReader
    store(bytes.subarray(written))
  }

  const endTurn = (): void => {
    if (ofTurn === '') return
    const lines = ofTurn
    ofTurn = ''
    take(lines)
  }

  /** The line about lost lines stands where they are missing: after those that were stored, before the next one. */
  const announceLost = (): void => {
    if (lost === 0) return
    const count = lost
    lost = 0
    onLost(count, reason ?? 'unknown')
  }

  const writeStored = (): void => {
    for (let [first] = stored; first !== undefined; [first] = stored) {
      const written = tryWrite(first)
      storedBytes -= written
      if (written < first.length) {
        stored[0] = first.subarray(written)
        // A pipe may take a part although it has no room for all.
        if (written === 0) return
      } else stored.shift()
    }
    announceLost()
    if (storedBytes === 0) reason = undefined
  }

  const retry = (): void => {
    timer = undefined
    const before = storedBytes
    writeStored()
    pauseMs = storedBytes < before ? retryMs.first : Math.min(pauseMs * 2, retryMs.max)
    if (storedBytes > 0) timer ??= setTimeout(retry, pauseMs).unref()
  }

  return {
    write (lines, isUrgent = true) {
      if (isUrgent) { endTurn(); take(lines); return }
      ofTurn += lines
      if (!isTurnWatched) {
        // It is never cleared: `clearImmediate` while an error that an immediate threw is handled breaks Node's list of them.
        setImmediate(() => { isTurnWatched = false; endTurn() })
        isTurnWatched = true
      }
      if (ofTurn.length > turnLengthMax) endTurn()
    },
    flush (budgetMs) {
      endTurn()
      const until = performance.now() + budgetMs
      const lock = new Int32Array(new SharedArrayBuffer(4))
      for (;;) {
        writeStored()
        // Only a slow reader is waited for: a full disk or a reader that has ended does not change within this time.
        if (storedBytes === 0 || reason !== slowReader || performance.now() >= until) return
        Atomics.wait(lock, 0, 0, 5)
      }
    },
    findProblem: () => storedBytes === 0 && lost === 0 ? undefined
      : `the log cannot be written: ${reason ?? 'unknown'}; ${storedBytes} bytes wait, and ${lost} lines were lost so far`
  }
}

const slowReader = 'its reader does not keep up (EAGAIN)'
const reasons: Readonly<Record<string, string>> = {
  EAGAIN: slowReader,
  EPIPE: 'its reader has ended (EPIPE)',
  ENOSPC: 'no space is left (ENOSPC)'
}
const explain = ({ code = '', message }: NodeJS.ErrnoException): string => reasons[code] ?? message

/**
 * Returns a descriptor of standard output that does not block: a stalled reader of a pipe, a socket or a terminal must
 * not stop the host. From now on an error of standard output or standard error, such as a pipe without a reader, is no
 * uncaught error; the log reports its own errors.
 */
export function openStandardOutput (): number {
  // Node makes the descriptors of pipes and sockets non-blocking when the streams are created, and restores them at the
  // exit. An asynchronous write would not do: it occupies a thread that the exit waits for, for as long as the reader stalls.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => { /* The log reports its own errors. */ })
  if (!process.stdout.isTTY) return standardOutput
  try {
    // A terminal that the reader holds with Ctrl-S blocks, too. Opened again it has a non-blocking mode of its own.
    return openSync(`/proc/self/fd/${standardOutput}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    // Other systems have no /proc, and another user's terminal cannot be opened: the descriptor is used as it is.
    return standardOutput
  }
}

const standardOutput = 1
