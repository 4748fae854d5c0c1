// Prepares a stream that is the body of an answer, so that every way in which it may break is told apart from a client
// that has left.

import { Readable, Stream } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { AnswerLost } from './lost-data.ts'

/**
 * Returns the body as a Node stream of bytes or text; undefined when the body is no stream. `fail` is called with the
 * reason when the stream breaks, before anything closes the connection.
 */
export function prepareStream (body: unknown, label: string, fail: (reason: unknown) => void): Stream | undefined {
  const source = body instanceof Blob ? body.stream() : body instanceof Response ? body.body : body
  if (!(source instanceof Stream) && !(source instanceof ReadableStream)) return undefined
  const broken = findBroken(source)
  if (broken !== undefined) throw typeof broken === 'string' ? new Error(`${label} answers a stream that ${broken}`) : broken
  // A stream of bytes refuses anything else by itself. One of objects would break when the answer is written.
  const isChecked = source instanceof ReadableStream || (source instanceof Readable && source.readableObjectMode)
  const stream = isChecked ? Readable.from(bytesOf(source, label)) : source
  stream.once('error', fail)
  stream.once('close', () => {
    if (stream instanceof Readable && !stream.readableEnded && stream.errored === null) fail(new Error(`the stream that ${label} answers was closed before its end`))
  })
  return stream
}

function findBroken (source: Stream | ReadableStream): string | Error | undefined {
  if (source instanceof ReadableStream) return source.locked ? 'is read by something else' : undefined
  if (!(source instanceof Readable)) return undefined
  return source.errored ?? (source.readableEnded ? 'was read already' : source.destroyed ? 'was destroyed already' : undefined)
}

async function* bytesOf (source: AsyncIterable<unknown>, label: string): AsyncGenerator<string | Uint8Array> {
  let at = 0
  for await (const chunk of source) {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) {
      const what = `${chunk === null ? 'null' : `of type ${typeof chunk}`}; a stream holds text or bytes, such as JSON.stringify(chunk)`
      throw new AnswerLost(label, `chunk ${at} of the stream`, what)
    }
    at++
    yield chunk
  }
}
