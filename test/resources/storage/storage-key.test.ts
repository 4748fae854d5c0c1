// Which keys name an object.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BadRequest } from '../../../core/contract/index.ts'
import { checkStorageKey, checkStoragePrefix } from '../../../core/resources/storage/storage-key.ts'

const good = [
  'a', 'a/b/c.txt', 'A b', '..a/b..', '...', 'a/.hidden', '~', 'a%2e%2e/b', 'ünï/码/🙂', 'a+b?c#d&e=f', 'é', 'C:', 'x'.repeat(1_024), 'é'.repeat(512)
]

const bad: [key: string, rule: RegExp][] = [
  ['', /is empty/],
  ['/a', /slash/], ['a/', /slash/], ['a//b', /slash/], ['/', /slash/], ['//', /slash/],
  ['.', /segment/], ['..', /segment/], ['../x', /segment/], ['a/../b', /segment/], ['a/..', /segment/], ['./a', /segment/], ['a/./b', /segment/],
  ['a\\b', /backslash/], ['..\\x', /backslash/],
  ['a\0b', /control/], ['a\nb', /control/], ['a\x7fb', /control/], ['a\u0085b', /control/],
  ['e\u0301', /normal form/], ['\ud800', /normal form/], ['a/\udc00b', /normal form/],
  [' a', /white space/], ['a ', /white space/], ['a/b\u00a0', /white space/],
  ['x'.repeat(1_025), /1024 bytes/], ['é'.repeat(513), /1024 bytes/]
]

test('a key of plain segments is taken', () => {
  for (const key of good) checkStorageKey(key)
})

for (const [key, rule] of bad) {
  test(`the key ${JSON.stringify(key.slice(0, 12))} is refused with the rule it breaks`, () => {
    assert.throws(() => checkStorageKey(key), (error: unknown) => {
      assert.ok(error instanceof BadRequest)
      assert.match(error.message, rule)
      return true
    })
  })
}

test('a prefix may be empty and may end with a slash; everything else holds for it too', () => {
  for (const prefix of ['', 'a/', 'a/b/', ...good]) checkStoragePrefix(prefix)
  for (const prefix of ['/', 'a//', '../', '..', 'a/../', '\\', 'a\0', 'e\u0301', 'x'.repeat(1_025)]) {
    assert.throws(() => checkStoragePrefix(prefix), BadRequest, JSON.stringify(prefix))
  }
})
