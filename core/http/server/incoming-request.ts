// Node's request, whose headers are as many as they are: Node counts them before credentials are taken out of them.

import { IncomingMessage } from 'node:http'

export class IncomingRequest extends IncomingMessage {}

// An accessor in Node, a property in its types.
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
