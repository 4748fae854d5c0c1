// The life of a unit, in one table.

// A unit waits until everything it needs runs, and then starts, as often as its retry and its budget allow. It comes to run, or it has
// failed, until it is replaced; one that is to be tried again is quarantined instead, until its time has come. If something it needs
// does not run it is held, and starts when that runs again; so is one whose start finds that something outside is missing. One that runs
// and is found unwell, or loses what it needs, or is switched off, is stopping first, after everything that needs it, and then
// quarantined, held or disabled. Whatever was started is undone while it is stopping: one that runs, one that is hung in its start, one
// whose last attempt is not undone yet. The others have nothing to undo and move at once. Nothing leaves `stopped`: it is the end of the host.
export const moves = {
  waiting: ['starting', 'held', 'stopping', 'disabled', 'stopped'],
  starting: ['running', 'failed', 'quarantined', 'held', 'stopping', 'stopped'],
  running: ['stopping'],
  quarantined: ['waiting', 'starting', 'held', 'stopping', 'disabled', 'stopped'],
  held: ['starting', 'stopping', 'disabled', 'stopped'],
  failed: ['waiting', 'starting', 'held', 'stopping', 'disabled', 'stopped'],
  disabled: ['waiting', 'starting', 'held', 'stopping', 'stopped'],
  stopping: ['quarantined', 'held', 'failed', 'disabled', 'stopped'],
  stopped: []
} as const satisfies Record<string, readonly string[]>

export type State = keyof typeof moves

export function isMove (from: State, to: State): boolean {
  return (moves[from] as readonly State[]).includes(to)
}
