// Holds the table of errors in core/contract/README.md to the catalogue.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as errors from '../../core/contract/errors.ts'
import { readTable } from '../support/markdown.ts'

const document = join(import.meta.dirname, '../../core/contract/README.md')

test('core/contract/README.md lists every error of the catalogue with its status', () => {
  const catalogue = Object.entries(errors).flatMap(([name, value]) => {
    if (typeof value !== 'function' || !(value.prototype instanceof errors.AnswerableError)) return []
    const { status } = new (value as new (message: string, details?: unknown) => errors.AnswerableError)('a reason', [])
    return [[`\`${name}\``, String(status)]]
  })
  const listed = readTable(readFileSync(document, 'utf8'), 'error').filter(([name]) => name !== 'any other')
  assert.ok(catalogue.length > 5)
  assert.deepEqual(listed.toSorted(), catalogue.toSorted())
})
