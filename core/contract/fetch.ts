// Asking other servers, as a plugin does it: over HTTP, and only where the public internet is.

import type { Duration } from './duration.ts'

export interface GuardedFetchOptions extends Pick<RequestInit, 'method' | 'headers' | 'signal'> {
  body?: string | Uint8Array
  /** To find the address and connect to it, TLS included; 5 s unless said. */
  connectTimeout?: Duration
  /** For all of it: every redirect, and the answer to its last byte. 10 s unless said. */
  timeout?: Duration
  /**
   * `error` unless said. `follow` goes along at most 5 of them, checks the address of each as if it were the first, never goes from https to http,
   * and takes `Authorization` and `Cookie` to no other origin.
   */
  redirect?: 'error' | 'manual' | 'follow'
  /** Of the answer's body, unpacked; 1 MB unless said. */
  maxBytes?: number
}

/** The whole of an answer, whatever its status. */
export interface GuardedAnswer {
  readonly status: number
  readonly headers: Headers
  /** Unpacked. */
  readonly body: Uint8Array
  /** As UTF-8. */
  text (): string
  /** Throws `SyntaxError` for what is no JSON. */
  json (): unknown
}

/**
 * As `fetch` of the web platform, but only to public addresses: the name is resolved once, every address that is private, loopback, link-local or
 * in any other way not of the public internet is left out, and the connection goes to one of those that were checked. `PLATFORM_EGRESS_ALLOW` names
 * exceptions. http and https, without a name and password in the URL; no proxy is used; a connection serves one request. It ends with the plugin.
 *
 * Rejects with `AddressRefused`, `DeadlineExceeded`, `FetchFailed`, with the reason of `signal`, and with a `TypeError` for what cannot be asked.
 */
export type GuardedFetch = (url: string | URL, options?: GuardedFetchOptions) => Promise<GuardedAnswer>

/** The address is none that plugins may reach. The message names host and address: for the log, not for callers. */
export class AddressRefused extends Error {
  readonly code = 'BULKHEAD_ADDRESS_REFUSED'
  override readonly name = 'AddressRefused'
}

/** It took longer than it may. */
export class DeadlineExceeded extends Error {
  readonly code = 'BULKHEAD_DEADLINE_EXCEEDED'
  override readonly name = 'DeadlineExceeded'
}

/** There is no answer, or none that may be used; the message says why, `cause` has what led to it. */
export class FetchFailed extends Error {
  readonly code = 'BULKHEAD_FETCH_FAILED'
  override readonly name = 'FetchFailed'
}
