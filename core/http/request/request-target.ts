// Refuses a path or query that does not decode to one text: a handler would be given it undecoded, or with characters replaced.

import { BadRequest } from '../../contract/index.ts'

/** Throws `BadRequest`. `url` is the target as it came, path and query; Node has refused bytes beyond ASCII in it. */
export function checkTarget (url: string): void {
  if (!url.includes('%')) return
  try {
    // It refuses what stands for no UTF-8, over-long forms and surrogates included.
    decodeURIComponent(url)
  } catch (cause) {
    throw new BadRequest('The path or query holds a "%" that begins no character: send "%" as "%25", and other characters as UTF-8.', { cause })
  }
  if (pathOf(url).includes('%00')) throw new BadRequest('The path holds the character NUL.')
}

export function pathOf (url: string): string {
  const mark = url.indexOf('?')
  return mark === -1 ? url : url.slice(0, mark)
}
