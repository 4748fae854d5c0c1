// Labels of issues. A label is stored as typed, without surrounding white space, and compared case-insensitively.

import { singleLine, z } from 'bulkhead'

const lengthMax = 100
const labelsMax = 50

/**
 * The schema of a label. It is normalized before it is checked, so that two encodings of one character make one label.
 */
export const Label = z.string().max(2 * lengthMax, { abort: true }).overwrite(text => text.trim().normalize('NFC')).pipe(singleLine(lengthMax))

/** The schema of a list of labels. Of several spellings of one label it keeps the first. */
export const Labels = z.array(Label).max(labelsMax).transform(labels =>
  labels.filter((label, at) => labels.findIndex(other => foldOf(other) === foldOf(label)) === at))

/** Folds the case of a label character by character, in the same way as the pattern below compares. */
const foldOf = (label: string): string => Array.from(label, character => character.toLowerCase()).join('')

/**
 * Builds a PostgreSQL regular expression that matches a stored label equal to this one in any case. The result of
 * `lower` depends on the database's locale; this expression does not. Labels of earlier versions may have surrounding
 * white space, and accents separate from their letters.
 */
export const patternOf = (label: string): string =>
  `^\\s*(?:${[...new Set([label, label.normalize('NFD')])].map(form => Array.from(form, casesOf).join('')).join('|')})\\s*$`

function casesOf (character: string): string {
  const lower = character.toLowerCase()
  const upper = lower.toUpperCase()
  const cases = new Set([character, lower, ...Array.from(upper).length === 1 && upper.toLowerCase() === lower ? [upper] : []])
  return cases.size === 1 ? escape(character) : `(?:${[...cases].map(escape).join('|')})`
}

const escape = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
