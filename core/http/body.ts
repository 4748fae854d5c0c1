// Reads a JSON body within its limit; what is wrong with it becomes an error of the catalogue.

import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { parse } from '@hapi/bourne'
import { text } from 'co-body'
import { AnswerableError, BadRequest, PayloadTooLarge, UnsupportedMediaType } from '../contract/index.ts'
import type { Exchange } from './exchange.ts'

const jsonType = /^application\/(?:[\w.-]+\+)?json *(?:; *charset="?utf-8"?)? *$/i

/** Takes a byte order mark away. */
const utf8 = new TextDecoder('utf-8')

/** Undefined when the request has no body. The guard may ask before the handler's input does. */
export function readBodyOnce (exchange: Exchange, limitBytes: number): Promise<unknown> {
  return exchange.body ??= readBody(exchange.req, limitBytes)
}

async function readBody (req: IncomingMessage, limitBytes: number): Promise<unknown> {
  const { headers } = req
  if (headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0') return undefined
  if (!jsonType.test(headers['content-type'] ?? '')) throw new UnsupportedMediaType('Send the body as application/json in UTF-8.')
  try {
    // Without an encoding it gives the bytes, which its types do not know: decoded, what is no UTF-8 would look like any other text.
    const bytes = await text(req, { limit: limitBytes, encoding: null } as object) as unknown as Buffer
    if (!isUtf8(bytes)) throw new BadRequest('The body is not valid UTF-8.')
    // `__proto__` is a key that no honest client sends, and that many a handler falls for.
    return bytes.length === 0 ? undefined : parse(utf8.decode(bytes), { protoAction: 'error' }) as unknown
  } catch (error) {
    // The rest of the body is read and dropped, so that the client gets to the answer and can use the connection again.
    req.unpipe()
    req.resume()
    throw refusalOf(error, limitBytes)
  }
}

function refusalOf (error: unknown, limitBytes: number): unknown {
  if (!(error instanceof Error) || error instanceof AnswerableError) return error
  const status = 'status' in error ? error.status : undefined
  const code = 'code' in error ? String(error.code) : ''
  if (status === 413) return new PayloadTooLarge(`The body is larger than ${limitBytes} bytes.`, { cause: error })
  if (status === 415) return new UnsupportedMediaType('The body may be encoded as gzip, deflate or br, or not at all.', { cause: error })
  if (/^(?:Z_|ERR__ERROR|ERR_PADDING|ERR_BROTLI)/.test(code)) return new BadRequest('The body is not what its Content-Encoding says.', { cause: error })
  if (error instanceof SyntaxError) return new BadRequest('The body is not valid JSON.', { cause: error })
  if (status === 400) return new BadRequest('The body ended early or is longer than its Content-Length.', { cause: error })
  return error
}
