// The life of a unit, in one table.

// A unit waits until everything it needs runs, and then starts, as often as its retry and its budget allow. It comes to run, or it has
// failed. If something it needs has failed or is held, it is held without having started; or its start finds that something is
// missing, and says so. Whatever was started is undone while it is stopping: one that runs, one that is hung in its start, one
// whose last attempt is not undone yet. The others have nothing to undo and are stopped at once. Nothing leaves `stopped`.
export const moves = {
  waiting: ['starting', 'held', 'stopped'],
  starting: ['running', 'failed', 'held', 'stopping', 'stopped'],
  running: ['stopping'],
  held: ['stopping', 'stopped'],
  failed: ['stopping', 'stopped'],
  stopping: ['stopped'],
  stopped: []
} as const satisfies Record<string, readonly string[]>

export type State = keyof typeof moves

export function isMove (from: State, to: State): boolean {
  return (moves[from] as readonly State[]).includes(to)
}
