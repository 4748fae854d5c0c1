// Reads a JSON body within its limits. Any fault in it becomes an error of the contract's catalogue.

import { isUtf8 } from 'node:buffer'
import { parse } from '@hapi/bourne'
import { BadRequest, PayloadTooLarge, UnsupportedMediaType } from '../../contract/index.ts'
import type { RouteOptions } from '../../contract/index.ts'
import type { Exchange } from '../exchange.ts'
import { isPacking, readBytes, unpack } from './body-bytes.ts'
import { findExcess, tokensMax } from './json-bounds.ts'

/** This decoder drops a byte order mark. */
const utf8 = new TextDecoder('utf-8')

/** Default body limit of a public route. */
const publicLimitBytes = 64 * 1024

/** Returns the body limit of a route. The operator sets `hostLimitBytes`, and no route exceeds it. */
export function bodyLimitOf ({ public: reason, bodyLimitBytes }: RouteOptions, hostLimitBytes: number): number {
  return Math.min(bodyLimitBytes ?? (reason === undefined ? hostLimitBytes : publicLimitBytes), hostLimitBytes)
}

/**
 * Resolves with undefined when the request has no body. The guard may read the body before the input does; both get the
 * same promise.
 */
export function readBodyOnce (exchange: Exchange, limitBytes: number): Promise<unknown> {
  return exchange.body ??= readBody(exchange, limitBytes)
}

async function readBody ({ req, caller, bodyMemory }: Exchange, limitBytes: number): Promise<unknown> {
  const { headers } = req
  if (headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0') return undefined
  if (!isJson(headers['content-type'] ?? '')) throw new UnsupportedMediaType('Send the body as application/json in UTF-8.')
  const encoding = (headers['content-encoding'] ?? 'identity').toLowerCase()
  if (encoding !== 'identity') {
    if (!isPacking(encoding)) throw new UnsupportedMediaType('The body may be encoded as gzip, deflate or br, or not at all.')
    // A few bytes can unpack to the whole limit, so the host unpacks only for callers it has identified.
    if (caller === undefined) throw new UnsupportedMediaType('Only a caller who is signed in may send a packed body: send it without Content-Encoding.')
  }

  const sent = await readBytes(req, limitBytes, caller === undefined ? bodyMemory.unknown : bodyMemory.known)
  const bytes = isPacking(encoding) ? await unpack(sent, encoding, limitBytes) : sent
  if (bytes.length === 0) return undefined
  const excess = findExcess(bytes, caller === undefined ? tokensMax.ofUnknownCaller : tokensMax.ofKnownCaller)
  if (excess !== undefined) throw new PayloadTooLarge(excess)
  if (!isUtf8(bytes)) throw new BadRequest('The body is not valid UTF-8.')
  try {
    // No honest client sends the key `__proto__`, and many handlers are vulnerable to it.
    return parse(utf8.decode(bytes), { protoAction: 'error' }) as unknown
  } catch (cause) {
    throw new BadRequest('The body is not valid JSON.', { cause })
  }
}

/** True for a JSON content type that names no charset other than UTF-8. */
function isJson (contentType: string): boolean {
  if (contentType === 'application/json') return true
  const [type = '', ...parameters] = contentType.split(';').map(part => part.trim().toLowerCase())
  return /^application\/(?:[\w.-]+\+)?json$/.test(type) &&
    parameters.every(parameter => parameter === '' || parameter === 'charset=utf-8' || parameter === 'charset="utf-8"')
}
