// The states of issues, merge requests and deliveries, and every allowed transition. A transition is one UPDATE that
// applies only while the row is in a state that it may leave; the second of two concurrent requests gets 409.

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

/** The transitions of a delivery. A delivery is never sent again after it ends; a redelivery is a new one. */
export const deliveryMoves = {
  deliver: { from: ['pending'], to: 'delivered' },
  giveUp: { from: ['pending'], to: 'failed' },
  cancel: { from: ['pending'], to: 'cancelled' }
} as const satisfies Record<string, Move<DeliveryState>>

/** The transitions of a merge request. `merged` is final. */
export const mergeRequestMoves = {
  close: { from: ['open'], to: 'closed' },
  reopen: { from: ['closed'], to: 'open' },
  merge: { from: ['open'], to: 'merged' }
} as const satisfies Record<string, Move<MergeRequestState>>
