// The guarded `fetch`: HTTP requests of a plugin to other servers, limited to the public internet.

import type { Duration } from './duration.ts'

export interface GuardedFetchOptions extends Pick<RequestInit, 'method' | 'headers' | 'signal'> {
  body?: string | Uint8Array
  /** The time limit to resolve the name and to connect, TLS included. The default is 5 s. */
  connectTimeout?: Duration
  /** The time limit of the whole request: every redirect, and the answer up to its last byte. The default is 10 s. */
  timeout?: Duration
  /**
   * The handling of redirects. The default is `error`. `follow` follows at most 5 redirects and checks each address as
   * it does the first one. It never goes from https to http, and it sends `Authorization` and `Cookie` to no other
   * origin.
   */
  redirect?: 'error' | 'manual' | 'follow'
  /** The maximum size of the answer's body after decompression. The default is 1 MB. */
  maxBytes?: number
}

/** A complete answer, whatever its status. */
export interface GuardedAnswer {
  readonly status: number
  readonly headers: Headers
  /** The body after decompression. */
  readonly body: Uint8Array
  /** Decodes the body as UTF-8. */
  text (): string
  /** Parses the body as JSON. Throws `SyntaxError` when it is not JSON. */
  json (): unknown
}

/**
 * Works like `fetch` of the web platform, but only for public addresses. The name is resolved once; private, loopback,
 * link-local and all other non-public addresses are discarded, and the connection goes to one of the checked addresses.
 * `PLATFORM_EGRESS_ALLOW` names exceptions. It supports http and https, without a name and password in the URL. It uses
 * no proxy, and a connection serves one request. Requests are aborted when the plugin ends.
 *
 * Rejects with `AddressRefused`, `DeadlineExceeded` or `FetchFailed`, with the reason of `signal`, or with a
 * `TypeError` for an invalid request.
 */
export type GuardedFetch = (url: string | URL, options?: GuardedFetchOptions) => Promise<GuardedAnswer>

/**
 * Thrown for an address that plugins may not reach. The message names the host and the address: log it, but do not send
 * it to callers.
 */
export class AddressRefused extends Error {
  readonly code = 'BULKHEAD_ADDRESS_REFUSED'
  override readonly name = 'AddressRefused'
}

/** Thrown when the request exceeds one of its time limits. */
export class DeadlineExceeded extends Error {
  readonly code = 'BULKHEAD_DEADLINE_EXCEEDED'
  override readonly name = 'DeadlineExceeded'
}

/**
 * Thrown when there is no answer, or none that can be used. The message gives the reason; `cause` holds the underlying
 * error.
 */
export class FetchFailed extends Error {
  readonly code = 'BULKHEAD_FETCH_FAILED'
  override readonly name = 'FetchFailed'
}
