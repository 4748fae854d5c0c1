// Reading what was thrown: whatever it is, the answer is bounded, storable text, and nothing throws.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asError, boundText, describeThrown, readError } from '../../core/contract/thrown.ts'
import { oddValues } from '../support/odd-thrown.ts'

const isSafe = (text: string): boolean => text.length <= 8_000 && text.isWellFormed() && !text.includes('\0')

for (const [name, create] of oddValues) {
  test(`${name} is described and becomes an Error that can be read again and again`, () => {
    for (let time = 0; time < 2; time++) {
      const value = create()
      const words = describeThrown(value)
      assert.ok(words !== '' && isSafe(words), words)
      const error = asError(value)
      for (const read of [error, asError(error)]) {
        assert.equal(typeof `${read.name} ${read.message} ${read.stack ?? ''} ${String(Reflect.get(read, 'code'))}`, 'string')
      }
      const facts = readError(error)
      assert.ok(facts !== undefined && [facts.type, facts.message, facts.stack ?? ''].every(isSafe))
    }
  })
}

test('an ordinary error, a DOMException and an error with a code are returned unchanged', () => {
  const errors = [new Error('a'), new TypeError('b', { cause: 1 }), Object.assign(new Error('c'), { code: 'E' }), new DOMException('d', 'AbortError')]
  for (const error of errors) assert.equal(asError(error), error)
})

test('an error with a throwing getter keeps the properties that can be read', () => {
  const error = Object.defineProperty(Object.assign(new RangeError('too far'), { code: 'E_FAR' }), 'cause', { get () { throw new Error('no') } })
  const { name, message, code } = asError(error) as Error & { code: string }
  assert.deepEqual([name, message, code], ['RangeError', 'too far', 'E_FAR'])
})

test('text is cut at a character, not within a surrogate pair', () => {
  assert.equal(boundText('a😀😀', 3), 'a…')
  assert.ok(isSafe(boundText('😀'.repeat(10_000), 2_001)))
})
