// Ranges and pre-releases: one rule for every way to write a range.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isWithin } from '../../../core/plugin-runtime/discovery/version.ts'

const ranges = ['^1.2.0', '>=1.2.0 <2.0.0', '>=1.2.0 <2', '1.2.0 - 1', '^1.2', '^1.2.0 || ^1.3.0']

test('a pre-release of a bound is outside, and one between the bounds is within, however it is written', () => {
  for (const range of ranges) {
    for (const version of ['1.2.0', '1.2.1-rc.1', '1.3.0-rc.1', '1.9.9', '1.99.0-0']) assert.equal(isWithin(version, range), true, `${version} in ${range}`)
    for (const version of ['1.2.0-rc.1', '1.1.9', '2.0.0-0', '2.0.0-rc.1', '2.0.0']) assert.equal(isWithin(version, range), false, `${version} in ${range}`)
  }
})

test('the rule holds for tilde, x-ranges, open ranges and a major of zero', () => {
  const cases: readonly [range: string, within: string[], outside: string[]][] = [
    ['~1.2.0', ['1.2.1-rc.1', '1.2.9'], ['1.2.0-rc.1', '1.3.0-rc.1']],
    ['~1.2', ['1.2.0', '1.2.1-rc.1'], ['1.2.0-rc.1', '1.3.0-rc.1']],
    ['1.2.x', ['1.2.0', '1.2.1-rc.1'], ['1.2.0-rc.1', '1.3.0-rc.1']],
    ['1', ['1.0.0', '1.1.0-rc.1'], ['1.0.0-rc.1', '2.0.0-rc.1']],
    ['^0.3.1', ['0.3.2-rc.1'], ['0.3.1-rc.1', '0.4.0-rc.1']],
    ['>=1.2.0', ['1.2.1-rc.1', '2.0.0-rc.1', '3.0.0'], ['1.2.0-rc.1']],
    ['>=1', ['1.0.0', '2.0.0-rc.1'], ['1.0.0-rc.1']],
    ['>1.2.0', ['1.2.1-rc.1'], ['1.2.0', '1.2.0-rc.1']],
    ['<2.0.0', ['1.9.9-rc.1', '0.0.1'], ['2.0.0-rc.1', '2.0.0']],
    // The bound itself is within, and with it what leads to it.
    ['<=2.0.0', ['2.0.0', '2.0.0-rc.1'], ['2.0.1-rc.1']],
    ['1.0.0 - 2.0.0', ['2.0.0', '2.0.0-rc.1'], ['1.0.0-rc.1', '2.0.1-rc.1']],
    ['1.2.0', ['1.2.0'], ['1.2.0-rc.1', '1.2.1-rc.1']],
    ['*', ['1.0.0', '2.0.0-rc.1', '0.0.1-rc.1'], []]
  ]
  for (const [range, within, outside] of cases) {
    for (const version of within) assert.equal(isWithin(version, range), true, `${version} in ${range}`)
    for (const version of outside) assert.equal(isWithin(version, range), false, `${version} in ${range}`)
  }
})

test('a pre-release that the range names is compared as written', () => {
  assert.equal(isWithin('1.2.0-rc.2', '^1.2.0-rc.1'), true)
  assert.equal(isWithin('1.2.0-rc.1', '^1.2.0-rc.2'), false)
  assert.equal(isWithin('2.0.0-rc.1', '>=1.0.0 <2.0.0-rc.2'), true)
  assert.equal(isWithin('1.0.0-rc.1', '>=1.0.0-0'), true)
})

test('what is no version is in no range, and no version is in what is no range', () => {
  assert.equal(isWithin('', '*'), false)
  assert.equal(isWithin('one', '^1.0.0'), false)
  assert.equal(isWithin('1.0.0', 'one'), false)
})
