// Refuses a path or query that cannot be decoded. A handler would otherwise get it undecoded, or with characters
// replaced.

import { BadRequest } from '../../contract/index.ts'

/** Throws `BadRequest`. `url` is the path and query as they were sent; Node has already refused bytes outside ASCII. */
export function checkTarget (url: string): void {
  if (!url.includes('%')) return
  try {
    // `decodeURIComponent` throws on anything but valid UTF-8, including over-long forms and surrogates.
    decodeURIComponent(url)
  } catch (cause) {
    throw new BadRequest('The path or query holds a "%" that begins no character: send "%" as "%25", and other characters as UTF-8.', { cause })
  }
  if (pathOf(url).includes('%00')) throw new BadRequest('The path holds the character NUL.')
}

/** The path that says that the main port listens. Load balancers ask it all the time. */
export const healthPath = '/healthz'

export function pathOf (url: string): string {
  const mark = url.indexOf('?')
  return mark === -1 ? url : url.slice(0, mark)
}
