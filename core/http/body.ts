// Reads a JSON body within its limit; what is wrong with it becomes an error of the catalogue.

import type { IncomingMessage } from 'node:http'
import { json } from 'co-body'
import { BadRequest, PayloadTooLarge, UnsupportedMediaType } from '../contract/index.ts'
import type { Exchange } from './exchange.ts'

const jsonType = /^application\/(?:[\w.-]+\+)?json *(?:; *charset="?utf-8"?)? *$/i

/** Undefined when the request has no body. The guard may ask before the handler's input does. */
export function readBodyOnce (exchange: Exchange, limitBytes: number): Promise<unknown> {
  return exchange.body ??= readBody(exchange.req, limitBytes)
}

async function readBody (req: IncomingMessage, limitBytes: number): Promise<unknown> {
  const { headers } = req
  if (headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0') return undefined
  if (!jsonType.test(headers['content-type'] ?? '')) throw new UnsupportedMediaType('Send the body as application/json in UTF-8.')
  try {
    const { parsed, raw } = await json(req, { limit: limitBytes, strict: false, returnRawBody: true }) as { parsed: unknown, raw: string }
    return raw === '' ? undefined : parsed
  } catch (error) {
    // The rest of the body is read and dropped, so that the client gets to the answer and can use the connection again.
    req.unpipe()
    req.resume()
    throw refusalOf(error, limitBytes)
  }
}

function refusalOf (error: unknown, limitBytes: number): unknown {
  if (!(error instanceof Error)) return error
  const status = 'status' in error ? error.status : undefined
  const code = 'code' in error ? String(error.code) : ''
  if (status === 413) return new PayloadTooLarge(`The body is larger than ${limitBytes} bytes.`, { cause: error })
  if (status === 415) return new UnsupportedMediaType('The body may be encoded as gzip, deflate or br, or not at all.', { cause: error })
  if (/^(?:Z_|ERR__ERROR|ERR_PADDING|ERR_BROTLI)/.test(code)) return new BadRequest('The body is not what its Content-Encoding says.', { cause: error })
  if (error instanceof SyntaxError) return new BadRequest('The body is not valid JSON.', { cause: error })
  if (status === 400) return new BadRequest('The body ended early or is longer than its Content-Length.', { cause: error })
  return error
}
