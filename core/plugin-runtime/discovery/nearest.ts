// Finds the known word that a user most likely meant, for "did you mean" hints.

import { closest, distance } from 'fastest-levenshtein'

/** Returns undefined when no known word is near enough to be a typing error. */
export function findNearest (word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined
  const nearest = closest(word, known)
  return distance(word, nearest) <= Math.max(2, Math.ceil(word.length / 3)) ? nearest : undefined
}

export const quoteList = (words: readonly string[]): string => words.map(word => `"${word}"`).join(', ')
