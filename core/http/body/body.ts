// Reads a JSON body within its limits; what is wrong with it becomes an error of the catalogue.

import { isUtf8 } from 'node:buffer'
import { parse } from '@hapi/bourne'
import { BadRequest, PayloadTooLarge, UnsupportedMediaType } from '../../contract/index.ts'
import type { RouteOptions } from '../../contract/index.ts'
import type { Exchange } from '../exchange.ts'
import { isPacking, readBytes, unpack } from './body-bytes.ts'
import { findExcess, tokensMax } from './json-bounds.ts'

/** Takes a byte order mark away. */
const utf8 = new TextDecoder('utf-8')

/** The default for a route that anyone may call. */
const publicLimitBytes = 64 * 1024

/** `hostLimitBytes` is the operator's, and no route exceeds it. */
export function bodyLimitOf ({ public: reason, bodyLimitBytes }: RouteOptions, hostLimitBytes: number): number {
  return Math.min(bodyLimitBytes ?? (reason === undefined ? hostLimitBytes : publicLimitBytes), hostLimitBytes)
}

/** Undefined when the request has no body. The guard may ask before the handler's input does. */
export function readBodyOnce (exchange: Exchange, limitBytes: number): Promise<unknown> {
  return exchange.body ??= readBody(exchange, limitBytes)
}

async function readBody ({ req, caller, bodyShares }: Exchange, limitBytes: number): Promise<unknown> {
  const { headers } = req
  if (headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0') return undefined
  if (!isJson(headers['content-type'] ?? '')) throw new UnsupportedMediaType('Send the body as application/json in UTF-8.')
  const encoding = (headers['content-encoding'] ?? 'identity').toLowerCase()
  if (encoding !== 'identity') {
    if (!isPacking(encoding)) throw new UnsupportedMediaType('The body may be encoded as gzip, deflate or br, or not at all.')
    // A few bytes unpack to the whole limit, so unpacking is for callers who can be named.
    if (caller === undefined) throw new UnsupportedMediaType('Only a caller who is signed in may send a packed body: send it without Content-Encoding.')
  }

  const sent = await readBytes(req, limitBytes, caller === undefined ? bodyShares : undefined)
  const bytes = isPacking(encoding) ? await unpack(sent, encoding, limitBytes) : sent
  if (bytes.length === 0) return undefined
  const excess = findExcess(bytes, caller === undefined ? tokensMax.ofUnknownCaller : tokensMax.ofKnownCaller)
  if (excess !== undefined) throw new PayloadTooLarge(excess)
  if (!isUtf8(bytes)) throw new BadRequest('The body is not valid UTF-8.')
  try {
    // `__proto__` is a key that no honest client sends, and that many a handler falls for.
    return parse(utf8.decode(bytes), { protoAction: 'error' }) as unknown
  } catch (cause) {
    throw new BadRequest('The body is not valid JSON.', { cause })
  }
}

/** In UTF-8: no other charset is named. */
function isJson (contentType: string): boolean {
  if (contentType === 'application/json') return true
  const [type = '', ...parameters] = contentType.split(';').map(part => part.trim().toLowerCase())
  return /^application\/(?:[\w.-]+\+)?json$/.test(type) &&
    parameters.every(parameter => parameter === '' || parameter === 'charset=utf-8' || parameter === 'charset="utf-8"')
}
