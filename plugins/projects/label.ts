// Labels of issues: stored as they were typed, without white space around them, and compared without regard to case.

import { singleLine, z } from 'bulkhead'

const lengthMax = 100
const labelsMax = 50

/** Normalised before it is looked at, so that two spellings of one character are one label. */
export const Label = z.string().max(2 * lengthMax, { abort: true }).overwrite(text => text.trim().normalize('NFC')).pipe(singleLine(lengthMax))

/** The first spelling of each. */
export const Labels = z.array(Label).max(labelsMax).transform(labels =>
  labels.filter((label, at) => labels.findIndex(other => foldOf(other) === foldOf(label)) === at))

/** Character by character, as the pattern below compares. */
const foldOf = (label: string): string => Array.from(label, character => character.toLowerCase()).join('')

/**
 * A regular expression of PostgreSQL that a stored label matches when it is this one in any case. What `lower` makes of a letter depends on the
 * database's locale; this does not. Labels of earlier versions may have white space around them, and their accents apart from their letters.
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
