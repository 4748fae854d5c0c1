// What the kernel is told about a unit; it knows nothing else about resources and plugins.

export type UnitKind = 'resource' | 'plugin' | 'host'
export type UndoStep = (signal: AbortSignal) => void | Promise<void>

export interface StartContext {
  /** Aborts when this attempt is over its budget or the unit is to end, after a successful start too. */
  readonly signal: AbortSignal
  /** 1 for the first. */
  readonly attempt: number
  /**
   * Adds a step to take when the unit stops or this attempt fails: newest first, none skipped because another failed.
   * Once the attempt has ended the step runs at once.
   */
  readonly undo: (name: string, step: UndoStep) => void
}

export interface Recovery {
  /** The first pause, doubling to `maxMs` with every failure. */
  readonly firstMs: number
  readonly maxMs: number
  /** A unit that ran for so long has put its failures behind it. */
  readonly resetAfterMs: number
}

export interface UnitDefinition {
  readonly id: string
  readonly kind: UnitKind
  /** Must run first. If one does not come up, this unit is held. */
  readonly needs: readonly string[]
  /** Order only: starts after they have settled, stops before they stop. Ids that no unit has are ignored. */
  readonly after?: readonly string[]
  /** A required unit that does not come up at its first start ends the kernel. Later it is tried again like any other. */
  readonly required: boolean
  /** For all attempts together, the undoing between them and the pauses. */
  readonly startBudgetMs: number
  /** For undoing what one attempt registered; less when less is left of the stop. */
  readonly stopBudgetMs: number
  /** A stop does not divide this budget with those that are to end afterwards. */
  readonly stopIsReserved?: boolean
  /** For one attempt; `startBudgetMs` unless said. */
  readonly attemptBudgetMs?: number
  /** The pause after a failed attempt, doubling from `firstMs` to `maxMs`. Absent: one attempt. */
  readonly retry?: { readonly firstMs: number, readonly maxMs: number }
  /** Makes quarantine of failure: when it is started again, and after how long without failure the count begins anew. */
  readonly recover?: Recovery
  /** Added switched off, with the reason; `enable` starts it. */
  readonly disabled?: string
  /** Why the unit that runs under this id does not do; asked of each need, again whenever it was started or replaced. */
  refuses? (need: string): string | undefined
  /**
   * May give what makes it serve: called in the turn in which the unit comes to run, or takes the place of the generation before. Until then a
   * start has changed nothing for others. What it throws is a failed start; it must then have undone what it did.
   */
  // eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- most starts give nothing back
  start (context: StartContext): void | undefined | Serve | Promise<void | undefined | Serve>
}

export type Serve = () => void
