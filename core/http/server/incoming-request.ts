// Node's request with a corrected `headersDistinct`. Node builds it with the number of headers that arrived, which is
// too high once the host has removed credentials from `rawHeaders`.

import { IncomingMessage } from 'node:http'

export class IncomingRequest extends IncomingMessage {}

// `headersDistinct` is an accessor in Node but a property in Node's types, so a class body cannot override it.
Object.defineProperty(IncomingRequest.prototype, 'headersDistinct', {
  get (this: IncomingMessage) { return distinct(this.rawHeaders) }
})

function distinct (rawHeaders: readonly string[]): NodeJS.Dict<string[]> {
  const headers = Object.create(null) as NodeJS.Dict<string[]>
  for (let at = 0; at < rawHeaders.length; at += 2) {
    (headers[rawHeaders[at]?.toLowerCase() ?? ''] ??= []).push(rawHeaders[at + 1] ?? '')
  }
  return headers
}
