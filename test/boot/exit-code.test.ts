// The exit codes that operators and scripts go by.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { exitCodes } from '../../core/boot/exit-code.ts'

test('config/README.md explains every exit code, and no other', () => {
  const text = readFileSync(join(import.meta.dirname, '../../config/README.md'), 'utf8')
  const [, table = ''] = /\| exit code \| meaning \|\n\|[ -|]*\|\n((?:\|.*\|\n)+)/.exec(text) ?? []
  const codes = table.split('\n').flatMap(row => /^\| (\d+) \| \S/.exec(row)?.[1] ?? [])
  assert.deepEqual(codes, Object.values(exitCodes).map(String))
})
