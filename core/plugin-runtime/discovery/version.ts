// Compares versions and ranges by the rules of npm.

import gt from 'semver/functions/gt.js'
import satisfies from 'semver/functions/satisfies.js'
import valid from 'semver/functions/valid.js'
import validRange from 'semver/ranges/valid.js'

export const isVersion = (version: string): boolean => valid(version) !== null

export const isRange = (range: string): boolean => validRange(range) !== null

export const isNewer = (version: string, than: string): boolean => isVersion(version) && isVersion(than) && gt(version, than)

/** Pre-releases count: a host of 1.1.0-rc.1 serves a plugin that asks for ^1.0.0, but a host of 2.0.0-rc.1 does not. */
export const isWithin = (version: string, range: string): boolean => satisfies(version, range, { includePrerelease: true })
