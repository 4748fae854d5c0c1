// The values of sensitive settings, wherever and however they stand in a line.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog } from '../../core/telemetry/log-writer.ts'
import { createValueMask } from '../../core/telemetry/value-mask.ts'

const secrets = ['hunter2-p"w\\d', 'grüße & küsse', 'plain-secret-value', 'with\nseveral\nlines', 'a+b/c=d?e', '$^.*(group)[x]']

test('no form of a secret value stays in a line: plain, in JSON, in a URL, in base64 after any number of bytes', () => {
  let text = ''
  const log = createLog({ level: 'info', format: 'json', secrets: () => secrets, destination: { write: line => { text += line } } })
  for (const secret of secrets) {
    const forms = [
      secret, JSON.stringify({ secret }), JSON.stringify(JSON.stringify(secret)), encodeURIComponent(secret), encodeURI(secret),
      encodeURIComponent(secret).replaceAll(/%../g, hex => hex.toLowerCase()), String(new URLSearchParams({ secret })),
      ...['', 'u', 'us', 'use'].flatMap(user => [Buffer.from(`${user}${secret}`), Buffer.from(`${user}${secret}:x`)])
        .flatMap(bytes => [bytes.toString('base64'), bytes.toString('base64url')])
    ]
    for (const form of forms) {
      text = ''
      log.error({ err: new Error(`535 refused: ${form}`, { cause: `again ${form}` }), deep: [{ said: form }] }, `no: ${form}`)
      const shown = JSON.stringify(JSON.parse(text))
      assert.equal(shown.match(/\[secret\]/g)?.length, 5, `${form}: ${text}`)
    }
  }
})

test('a secret at the place where a long text is cut leaves no part of itself', () => {
  let text = ''
  const log = createLog({ level: 'info', format: 'json', secrets: () => secrets, destination: { write: line => { text += line } } })
  for (let length = 3_970; length < 4_010; length++) log.error({ err: new Error(`${'x'.repeat(length)}plain-secret-value${'y'.repeat(100)}`) }, 'failed')
  assert.doesNotMatch(text, /xplain|xp…/)
})

test('values that are added later are masked from then on', () => {
  const list = ['first-secret']
  const mask = createValueMask(() => list)
  assert.equal(mask('first-secret second-secret'), '[secret] second-secret')
  list.push('second-secret')
  assert.equal(mask('first-secret second-secret'), '[secret] [secret]')
})

test('the fast search finds what the pattern finds', () => {
  const mask = createValueMask(() => ['abcdef', 'xbcdeg1', 'zyzyzz'])
  for (const before of ['', 'a', 'ab', 'zzzzz', 'abcde', 'äöü😀', 'x'.repeat(50)]) {
    for (const secret of ['abcdef', 'xbcdeg1', 'zyzyzz']) assert.ok(mask(`${before}${secret}`).endsWith('[secret]'), `${before}${secret}`)
  }
})
