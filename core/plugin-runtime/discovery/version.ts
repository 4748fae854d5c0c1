// Compares versions and ranges by the rules of npm.

import Comparator from 'semver/classes/comparator.js'
import Range from 'semver/classes/range.js'
import gt from 'semver/functions/gt.js'
import valid from 'semver/functions/valid.js'
import validRange from 'semver/ranges/valid.js'

export const isVersion = (version: string): boolean => valid(version) !== null

export const isRange = (range: string): boolean => validRange(range) !== null

export const isNewer = (version: string, than: string): boolean => isVersion(version) && isVersion(than) && gt(version, than)

/**
 * Pre-releases between the bounds are within. Those of the bounds themselves are not, however the range is written:
 * `^1.2.0`, `^1.2`, `1.x` and `>=1.2.0 <2.0.0` all refuse 1.2.0-rc.1 and 2.0.0-rc.1. A bound that is a pre-release, and
 * one that is within (`<=2.0.0`), are compared as written.
 */
export function isWithin (version: string, range: string): boolean {
  return isVersion(version) && isRange(range) && new Range(range).set.some(comparators => comparators.every(comparator => {
    const { operator, semver } = comparator
    // The library itself writes the upper bound of `^`, `~` and x-ranges in this way.
    const bound = operator === '<' && semver.prerelease.length === 0 ? new Comparator(`<${semver.version}-0`) : comparator
    return bound.test(version)
  }))
}
