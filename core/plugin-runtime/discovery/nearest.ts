// Finds the word that a person most likely meant.

import { closest, distance } from 'fastest-levenshtein'

/** Undefined when nothing is near enough to be a slip of the keyboard. */
export function findNearest (word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined
  const nearest = closest(word, known)
  return distance(word, nearest) <= Math.max(2, Math.ceil(word.length / 3)) ? nearest : undefined
}

export const quoteList = (words: readonly string[]): string => words.map(word => `"${word}"`).join(', ')
