// Which text and which instants the contract's schemas take, what they make of it, and how long a hostile one takes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findUnstorable } from '../../core/contract/storable.ts'
import { instant, isVisible, multiLine, singleLine, storableText, type z } from '../../core/contract/index.ts'

const messageOf = (schema: z.ZodType, value: unknown): string | undefined => schema.safeParse(value).error?.issues.map(({ message }) => message).join(' ')

test('a line shows something, is one line, and holds what can be stored', () => {
  const line = singleLine(20)
  for (const text of ['a', ' a ', '\u{1fae9}', '\u0301', 'a\u200e', '\u200fשלום', 'می\u200cخواهم', '👩\u200d👧', '❤\ufe0f', '\u2066a\u2069b', '\u2067\u2066a\u2069\u2069', '\ue000']) assert.equal(messageOf(line, text), undefined, JSON.stringify(text))
  const refused: Readonly<Record<string, readonly string[]>> = {
    'Too small': [''],
    'Too big': ['x'.repeat(21), ' '.repeat(21)],
    'visible character': [' ', '\u00a0\u3000', '\u200b', '\u200e\u200f\u200c\u200d', '\u00ad', '\u034f', '\u115f', '\u3164', '\uffa0', '\u2800', '\u180e', '\ufeff', '\ufe0f', '\u{e0001}', '\u{e0100}', '\u{1d173}', '\u{16fe4}', '\u2066\u2069'],
    'control characters': ['a\0', 'a\nb', '\t', 'a\u007f', 'a\u0085', 'a\x1b[0m'],
    surrogate: ['\ud800', 'a\udc00', '\udc00\ud800'],
    'U+202E': ['a\u202eb'],
    'U+202A': ['\u202aa\u202c'],
    'U+202C': ['a\u202c'],
    'The U+2066 in it must be closed': ['\u2066a', 'a\u2066\u2067b\u2069'],
    'The U+2068 in it must be closed': ['a\u2066\u2069\u2068'],
    'no U+2069': ['a\u2069', 'a\u2066\u2069\u2069'],
    'one line': ['a\u2028b', 'a\u2029']
  }
  for (const [message, texts] of Object.entries(refused)) {
    for (const text of texts) assert.ok(messageOf(line, text)?.includes(message), `${JSON.stringify(text)}: ${messageOf(line, text)}`)
  }
})

test('several lines may be empty, and an isolate ends on the line on which it began', () => {
  const lines = multiLine(30)
  for (const text of ['', ' ', 'a\n\tb\r\nc', '\u2067a\u2069\n\u2066b\u2069', 'a\u2028b']) assert.equal(messageOf(lines, text), undefined, JSON.stringify(text))
  for (const text of ['\u2067a\nb\u2069', 'a\u2066\r\u2069', 'a\u2066\u2029\u2069', '\u202d', 'a\0', 'a\u000b', '\udfff', 'x'.repeat(31)]) assert.notEqual(messageOf(lines, text), undefined, JSON.stringify(text))
  assert.deepEqual([isVisible('\u200b a'), isVisible('\u200b \n')], [true, false])
})

test('text that nobody reads may hold anything but NUL and half of a surrogate pair', () => {
  for (const text of ['', '\u202e', '\n\u0001', ' ']) assert.equal(messageOf(storableText(5), text), undefined)
  for (const text of ['\0', '\ud83d', '123456']) assert.notEqual(messageOf(storableText(5), text), undefined)
})

test('an instant is given in UTC with four digits of the year, to the microsecond, or refused', () => {
  const read = (text: string): string | undefined => instant().safeParse(text).data
  assert.equal(read('2030-01-01T02:00:00+02:00'), '2030-01-01T00:00:00Z')
  assert.equal(read('2030-01-01T00:00:00.123456789-15:59'), '2030-01-01T15:59:00.123456Z')
  assert.equal(read('9999-12-31T23:59:59.9999999Z'), '9999-12-31T23:59:59.999999Z')
  assert.equal(read('0001-01-01T00:00:00Z'), '0001-01-01T00:00:00Z')
  assert.equal(read('0099-12-31T00:00:00Z'), '0099-12-31T00:00:00Z')
  for (const text of [
    '2030-01-01T00:00:00+16:00', '2030-01-01T00:00:00-23:59', '9999-12-31T23:59:59-15:00', '9999-12-31T23:59:59-00:01', '0001-01-01T00:00:00+00:01', '0000-12-31T23:59:59Z',
    '+010000-01-01T00:00:00Z', '2016-12-31T23:59:60Z', '2030-02-29T00:00:00Z', '2030-01-01T24:00:00Z', '2030-01-01', 'infinity', 'now', ''
  ]) assert.equal(read(text), undefined, text)
})

test('a JSON value that cannot be stored is found with its path, and a look-alike is not', () => {
  const find = (value: unknown): unknown => findUnstorable(JSON.stringify(value))
  assert.deepEqual(find({ a: { b: ['x', 'y\0'] } }), { path: 'a.b.1', fault: 'holds a NUL character, which the database cannot store' })
  assert.deepEqual(find('\ud800'), { path: '', fault: 'holds half of a surrogate pair, which the database cannot store' })
  assert.deepEqual(find({ a: { '\udc00': 1 } }), { path: 'a', fault: 'has a key with half of a surrogate pair, which the database cannot store' })
  for (const value of ['\\u0000', '\\\\ud800', '😀', 'u0000', { '\\u0000': 1 }, null, 1]) assert.equal(find(value), undefined, JSON.stringify(value))
})

test('the time for a hostile text grows no faster than the text', () => {
  const make = [' ', '\u2066', '\u2066\u2069', '\u200b', '\u202e', '\\', '\ud800', '\u0301'] as const
  const timeFor = (text: string): number => {
    const startedAt = performance.now()
    for (const schema of [singleLine(10_000_000), multiLine(10_000_000), storableText(10_000_000)]) schema.safeParse(text)
    findUnstorable(JSON.stringify(text))
    return performance.now() - startedAt
  }
  for (const unit of make) {
    const [small, large] = [unit.repeat(50_000), unit.repeat(800_000)]
    // The quickest of several: the machine may be busy.
    const [smallMs, largeMs] = [Math.min(...[1, 2, 3].map(() => timeFor(small))), Math.min(...[1, 2, 3].map(() => timeFor(large)))]
    assert.ok(largeMs < Math.max(smallMs, 5) * 16 * 8, `${JSON.stringify(unit)}: ${smallMs} ms, then ${largeMs} ms for 16 times as much`)
  }
})
