// The states of a unit and the allowed transitions between them, in one table.

// A unit is waiting until every unit it needs runs. It is then starting, for as many attempts as its retry and its
// budget allow. After that it is running, or it is failed until it is replaced. With a `recover` definition it is
// quarantined instead of failed, until its retry is due. A unit is held when a unit it needs does not run; it starts
// when that one runs again. It is also held when its start finds that something outside the host is missing. A running
// unit that is unhealthy, loses a unit it needs, or is disabled, is stopping first, after every unit that needs it. It
// is then quarantined (or failed), held or disabled. Everything that was started is undone while the unit is stopping:
// a running unit, a start that hangs, or a last attempt that is not undone yet. Other units have nothing to undo and
// change state at once. No transition leaves stopped, because then the host ends.
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
