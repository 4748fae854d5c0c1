// Finds the instants at which a cron expression is due in a time zone. The library reads the expression in UTC, where it makes no mistakes;
// this file applies the zone.

import { readWallTimes } from '../queue/pg-boss-queues.ts'

const dayMs = 86_400_000
const hourMs = 3_600_000
/** Limit of a search, in minutes of wall-clock time. A zone repeats or leaves out at most a day, so a search that sees two days would never end. */
const wallTimesMax = 2 * 1_440
const batchMax = 64

/** The smallest and the largest value of a field, and the names of its values from the smallest on. */
interface Field { readonly least: number, readonly most: number, readonly names?: readonly string[] }

const fields: readonly Field[] = [
  { least: 0, most: 59 },
  { least: 0, most: 23 },
  { least: 1, most: 31 },
  { least: 1, most: 12, names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'] },
  { least: 0, most: 7, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] }
]

/**
 * Returns a function that finds the first due instant after another one; it throws when its search exceeds a bound. A wall-clock time that the zone
 * repeats is due at its first occurrence, and one that the zone leaves out is due as much later as the clock was put forward. An expression for
 * every hour is due at each instant whose wall-clock time fits. Rejects with a sentence about an expression or a zone that is malformed or that
 * replicas would read differently.
 */
export async function readCron (expression: string, timezone: string): Promise<(afterMs: number) => number> {
  const texts = expression.trim().split(/\s+/)
  for (const [at, text] of texts.entries()) {
    const problem = fieldProblem(text, fields[at] ?? { least: 0, most: 0 })
    if (problem !== undefined) throw new Error(`"${text}": ${problem}`)
  }
  const offset = openZone(timezone)
  const wallTimes = await readWallTimes(expression)
  wallTimes(0, 1)
  const hours = await readWallTimes(`0 ${texts[1] ?? '*'} * * *`)
  const isHourly = hours(0, 24).at(-1) === 24 * hourMs
  return afterMs => nextInstant({ afterMs, wallTimes, offset, isHourly })
}

/** Returns a problem that the library does not see, or undefined. */
function fieldProblem (text: string, { least, most, names = [] }: Field): string | undefined {
  const numbers = text.replaceAll(/[a-z]{3}/gi, word => names.includes(word.toLowerCase()) ? String(names.indexOf(word.toLowerCase()) + least) : word)
  if (/h/i.test(numbers)) return '"H" stands for a random number, which differs from replica to replica; write the number'
  for (const part of numbers.split(',')) {
    const [, from = least, to = most, step] = /^(?:[*?]|(\d+)(?:-(\d+))?)\/(\d+)$/.exec(part) ?? []
    const count = Number(to) - Number(from) + 1
    if (step !== undefined && Number(step) > count) return `a step of ${step} is larger than the range, which has ${count} values`
  }
  return undefined
}

interface Search {
  readonly afterMs: number
  /** Wall-clock times are written in milliseconds as if they were in UTC. */
  readonly wallTimes: (afterMs: number, count: number) => readonly number[]
  readonly offset: Offset
  readonly isHourly: boolean
}

/** How far the zone's wall clock is ahead of UTC at an instant, in milliseconds. */
type Offset = (atMs: number) => number

function nextInstant ({ afterMs, wallTimes, offset, isHourly }: Search): number {
  // Each wall-clock time up to this one was due before, since no offset near the instant is smaller.
  let wallMs = afterMs + Math.min(...offsetsAround(afterMs, offset))
  let foundMs = Infinity
  for (let seen = 0, count = 1; seen < wallTimesMax; seen += count, count = Math.min(2 * count, batchMax)) {
    for (wallMs of wallTimes(wallMs, count)) {
      const offsets = offsetsAround(wallMs, offset)
      // This wall-clock time and those after it are not due before the instant that was found.
      if (foundMs <= wallMs - Math.max(...offsets)) return foundMs
      for (const atMs of instantsOf(wallMs, offsets, offset, isHourly)) if (atMs > afterMs) foundMs = Math.min(foundMs, atMs)
      if (offsets.length === 1 && foundMs < Infinity) return foundMs
    }
  }
  throw new Error(`the search for the next run ended after ${wallTimesMax} wall-clock times`)
}

/** `ms` is an instant or a wall-clock time: the two are less than a day apart. */
const offsetsAround = (ms: number, offset: Offset): readonly number[] => [...new Set([offset(ms - dayMs), offset(ms), offset(ms + dayMs)])]

function instantsOf (wallMs: number, offsets: readonly number[], offset: Offset, isHourly: boolean): readonly number[] {
  const shown = offsets.map(each => wallMs - each).filter(atMs => offset(atMs) === wallMs - atMs)
  if (isHourly) return shown
  return [shown.length > 0 ? Math.min(...shown) : wallMs - Math.min(...offsets)]
}

function openZone (timezone: string): Offset {
  // "UTC+3" is not the name of a zone, but was accepted up to version 1.2.
  const [, sign = '', hours = '', minutes = '00'] = /^utc([+-])(\d{1,2})(?::(\d{2}))?$/i.exec(timezone) ?? []
  const timeZone = sign === '' ? timezone : `${sign}${hours.padStart(2, '0')}:${minutes}`
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric'
    })
  } catch (cause) {
    throw new Error(`there is no time zone "${timezone}"; write an IANA name such as "Europe/Paris", or leave it out for UTC`, { cause })
  }
  return atMs => {
    const part: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {}
    for (const { type, value } of format.formatToParts(atMs)) part[type] = Number(value)
    const { year = NaN, month = NaN, day = NaN, hour = NaN, minute = NaN, second = NaN } = part
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1_000) * 1_000
  }
}
