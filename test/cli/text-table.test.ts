// Tables of the commands: aligned, and safe for the terminal that shows them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderSettings } from '../../core/cli/setting-table.ts'
import { renderJobs } from '../../core/cli/task-table.ts'
import { printable, renderTable } from '../../core/cli/text-table.ts'

test('every column but the last is as wide as its widest cell', () => {
  assert.deepEqual(renderTable([['A', 'LONG', 'END'], ['value', 'b', 'the end'], ['', '', '']]), ['A      LONG  END', 'value  b     the end', ''])
})

test('control characters are shown as escapes, letters of all scripts as they are', () => {
  for (const code of [...Array(32).keys(), 0x7f, ...Array.from({ length: 32 }, (_, at) => 0x80 + at), 0x202e, 0x2066].filter(each => each !== 10)) {
    assert.equal(printable(`a${String.fromCharCode(code)}b`), `a\\u${code.toString(16).padStart(4, '0')}b`)
  }
  assert.equal(printable('zwei\nZeilen für 子 👩‍🚀 שלום'), 'zwei\nZeilen für 子 👩‍🚀 שלום')
  assert.deepEqual(renderTable([['one\n two', '\u001b[2J']]), ['one two  \\u001b[2J'])
})

test('no cell of a table reaches the terminal with its control characters', () => {
  const job = {
    id: '1', plugin: 'vault', task: 'vault/\u001b[2J', key: null, state: 'dead', attempt: 1, attemptsMax: 1, sentAt: 'now', startAfter: null, startedAt: null,
    endedAt: null, durationMs: null, error: 'gone\u001b]0;title\u0007\u009b2J', holdsBack: 0
  } as unknown as Parameters<typeof renderJobs>[0][number]
  const row = { name: 'plugins.config.vault.\u0085', env: undefined, source: 'default', value: '\u001b[8m', doc: 'Hides\u001b[8m' }
  for (const table of [renderJobs([job]), renderSettings([row])]) assert.match(table, /^[^\p{Cc}]*(?:\n[^\p{Cc}]*)*$/u)
})
