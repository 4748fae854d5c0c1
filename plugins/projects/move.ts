// The states of each thing, and every way from one to another. What is not here cannot happen: a change of state is one UPDATE that holds only
// where the thing is in a state it may leave, and whoever comes second is told 409.

export interface Move<State extends string> {
  readonly from: readonly State[]
  readonly to: State
}

export const issueStates = ['open', 'closed'] as const
export type IssueState = (typeof issueStates)[number]

export const issueMoves = {
  close: { from: ['open'], to: 'closed' },
  reopen: { from: ['closed'], to: 'open' }
} as const satisfies Record<string, Move<IssueState>>

export const mergeRequestStates = ['open', 'merged', 'closed'] as const
export type MergeRequestState = (typeof mergeRequestStates)[number]

export const deliveryStates = ['pending', 'delivered', 'failed', 'cancelled'] as const
export type DeliveryState = (typeof deliveryStates)[number]

/** To send one again is another delivery. */
export const deliveryMoves = {
  deliver: { from: ['pending'], to: 'delivered' },
  giveUp: { from: ['pending'], to: 'failed' },
  cancel: { from: ['pending'], to: 'cancelled' }
} as const satisfies Record<string, Move<DeliveryState>>

/** Nothing leads out of `merged`. */
export const mergeRequestMoves = {
  close: { from: ['open'], to: 'closed' },
  reopen: { from: ['closed'], to: 'open' },
  merge: { from: ['open'], to: 'merged' }
} as const satisfies Record<string, Move<MergeRequestState>>
