// Checks a plugin's outgoing request before it is sent, and derives the next request when a server redirects.

import { readDuration } from '../../contract/duration.ts'
import { FetchFailed, type Duration, type GuardedFetchOptions } from '../../contract/index.ts'

/** One request of a chain of redirects. */
export interface EgressRequest {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  readonly body: string | Uint8Array | undefined
}

export interface EgressTerms {
  readonly connectMs: number
  readonly totalMs: number
  readonly maxBytes: number
  readonly redirect: 'error' | 'manual' | 'follow'
}

/**
 * Headers that a plugin may not set: the URL and the body alone determine the framing and the receiver of a message.
 */
const ownHeaders = [
  'connection', 'content-length', 'expect', 'host', 'http2-settings', 'keep-alive', 'proxy-authorization', 'proxy-connection', 'te', 'trailer',
  'transfer-encoding', 'upgrade'
]
const bytesUnlessSaid = 1_000_000

export function readRequest (given: string | URL, { method = 'GET', headers, body }: GuardedFetchOptions): EgressRequest {
  const request = { url: readUrl(String(given)), method: method.toUpperCase(), headers: new Headers(headers), body }
  for (const name of ownHeaders) if (request.headers.has(name)) throw new TypeError(`fetch: the header "${name}" cannot be set; it follows from the URL and the body`)
  if (!/^[A-Z]{1,20}$/.test(request.method) || ['CONNECT', 'TRACE', 'TRACK'].includes(request.method)) {
    throw new TypeError(`fetch: the method ${JSON.stringify(method)} cannot be asked for`)
  }
  if (body !== undefined && ['GET', 'HEAD'].includes(request.method)) throw new TypeError(`fetch: ${request.method} has no body`)
  return request
}

/**
 * Parses the URL into the one spelling that the URL standard gives it: `0x7f.1`, `2130706433` and full-width digits
 * become `127.0.0.1`.
 */
function readUrl (text: string): URL {
  if (!URL.canParse(text)) throw new TypeError('fetch: the URL cannot be read')
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError(`fetch: the URL must begin with http:// or https://, not ${url.protocol}`)
  if (url.username !== '' || url.password !== '') throw new TypeError('fetch: the URL must hold no name and no password; send them in a header')
  return url
}

export function readTerms ({ connectTimeout = '5s', timeout = '10s', redirect = 'error', maxBytes = bytesUnlessSaid }: GuardedFetchOptions): EgressTerms {
  const read = (name: string, duration: Duration): number => {
    const ms = readDuration(duration)
    if (ms === undefined) throw new TypeError(`fetch: ${name} must be milliseconds or such as "10s", not ${JSON.stringify(duration)}`)
    return ms
  }
  if (!['error', 'manual', 'follow'].includes(redirect)) throw new TypeError(`fetch: redirect must be "error", "manual" or "follow", not ${JSON.stringify(redirect)}`)
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 0) throw new TypeError(`fetch: maxBytes must be a whole number, not ${JSON.stringify(maxBytes)}`)
  return { connectMs: read('connectTimeout', connectTimeout), totalMs: read('timeout', timeout), redirect, maxBytes }
}

export const isRedirect = (status: number): boolean => [301, 302, 303, 307, 308].includes(status)

/** Returns the request that follows the redirect; throws when this redirect is not permitted. */
export function followTo (location: string, status: number, { url, method, headers, body }: EgressRequest): EgressRequest {
  if (!URL.canParse(location, url.href)) throw new FetchFailed(`${url.host} redirects to something that is not a URL.`)
  const next = readUrl(new URL(location, url).href)
  if (url.protocol === 'https:' && next.protocol === 'http:') throw new FetchFailed(`${url.host} redirects from https to http, to ${next.host}.`)
  const kept = new Headers(headers)
  if (next.origin !== url.origin) for (const name of ['authorization', 'cookie']) kept.delete(name)
  const isAskedAnew = status === 303 ? method !== 'HEAD' : (status === 301 || status === 302) && method === 'POST'
  if (!isAskedAnew) return { url: next, method, headers: kept, body }
  for (const name of ['content-type', 'content-encoding', 'content-language', 'content-location']) kept.delete(name)
  return { url: next, method: 'GET', headers: kept, body: undefined }
}
