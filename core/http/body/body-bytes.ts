// Reads the bytes of a body into one buffer, within a limit, and unpacks them within the same limit.

import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, unzip } from 'node:zlib'
import { BadRequest, PayloadTooLarge } from '../../contract/index.ts'
import type { BodyShares } from './body-share.ts'

/**
 * First allocation for a body that comes in chunks. The buffer is never larger than this or twice the bytes received,
 * whichever is more.
 */
const firstBytes = 16 * 1024

const unpackers = { gzip: promisify(unzip), 'x-gzip': promisify(unzip), deflate: promisify(unzip), br: promisify(brotliDecompress) } as const
export type Packing = keyof typeof unpackers

export const isPacking = (encoding: string): encoding is Packing => Object.hasOwn(unpackers, encoding)

const tooLarge = (limitBytes: number, cause?: unknown): PayloadTooLarge =>
  new PayloadTooLarge(`The body is larger than ${limitBytes} bytes.`, { cause })

/**
 * Copies bytes as they arrive, so a body in chunks of one byte takes no more memory than any other. When it rejects,
 * the rest of the body is dropped at the end of the answer. With `shares` the allocated bytes count there, and the body
 * may be given up to make room for others.
 */
export function readBytes (req: IncomingMessage, limitBytes: number, shares?: BodyShares): Promise<Buffer> {
  const declared = Number(req.headers['content-length'] ?? 0)
  if (declared > limitBytes) return Promise.reject(tooLarge(limitBytes))
  if (req.destroyed) return Promise.reject(endedEarly())

  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0)
    let length = 0
    const share = shares?.open(error => settle(() => { req.pause(); reject(error) }))
    const settle = (give: () => void): void => {
      share?.end()
      req.off('data', take).off('end', end).off('error', giveUp).off('close', giveUp)
      give()
    }
    const take = (chunk: Buffer): void => {
      const needed = length + chunk.length
      if (needed > limitBytes) { settle(() => { req.pause(); reject(tooLarge(limitBytes)) }); return }
      if (length === 0 && needed === declared) { bytes = chunk; length = needed; return }
      if (needed > bytes.length) {
        const larger = Buffer.allocUnsafe(Math.min(Math.max(needed, bytes.length * 2, firstBytes), declared === 0 ? limitBytes : declared))
        share?.add(larger.length - bytes.length)
        bytes.copy(larger, 0, 0, length)
        bytes = larger
      }
      chunk.copy(bytes, length)
      length = needed
    }
    const end = (): void => settle(() => resolve(bytes.subarray(0, length)))
    const giveUp = (): void => settle(() => reject(endedEarly()))
    req.on('data', take).on('end', end).on('error', giveUp).on('close', giveUp)
  })
}

const endedEarly = (): BadRequest => new BadRequest('The body ended before its Content-Length or its last chunk.')

export async function unpack (bytes: Buffer, packing: Packing, limitBytes: number): Promise<Buffer> {
  try {
    return await unpackers[packing](bytes, { maxOutputLength: limitBytes })
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(limitBytes, error)
    throw new BadRequest('The body is not what its Content-Encoding says.', { cause: error })
  }
}
