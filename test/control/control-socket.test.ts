// The socket of the data folder, asked by a process that writes what it likes: what cannot be read is refused before the host is asked anything.

import assert from 'node:assert/strict'
import { request } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { openControl, type Asked } from '../../core/control/control-socket.ts'
import { temporaryFolder } from '../support/host.ts'
import { createLog } from '../support/part.ts'
import { undo } from '../support/undo.ts'

const ask = (socketPath: string, body: string): Promise<{ status: number | undefined, text: string }> => new Promise((resolve, reject) => {
  const asked = request({ socketPath, method: 'POST' }, response => {
    let text = ''
    response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('error', reject).on('end', () => resolve({ status: response.statusCode, text }))
  })
  asked.on('error', reject).end(body)
})

test('a malformed question or one with unstorable text is a 400 that says where, no host error', async (t) => {
  const dataPath = await temporaryFolder(t)
  const entries: { message?: string }[] = []
  // Nothing of it is reached: whatever is asked of it throws.
  const untouched = new Proxy({}, { get: (_, name) => { throw new Error(`the host was asked for ${String(name)}`) } })
  const control = await openControl(dataPath, { host: untouched, keys: untouched } as Asked, createLog(entries))
  assert.ok(control)
  undo(t, () => control.close())
  const questions: readonly (readonly [string, RegExp])[] = [
    ['{"about":"tasks","verb":"forget","id":"\\u0000"}', /id: There must be no control characters/],
    ['{"about":"tasks","verb":"retry","id":"\\ud800"}', /id: There must be no half of a surrogate pair/],
    ['{"about":"plugins","verb":"disable","id":"notes","reason":"a\\u0000"}', /reason: There must be no control characters/],
    ['{"about":"plugins","verb":"disable","id":"notes","reason":"\\u200b"}', /reason: It must have at least one visible character/],
    ['{"about":"keys","verb":"forget","id":"\\u202e"}', /id: There must be no U\+202E/],
    ['{"about":"tasks","verb":"list","state":"sleeping"}', /state: /],
    ['{"about":"weather"}', /about: /],
    ['[]', /question: /],
    ['{', /it is not JSON/],
    [JSON.stringify('x'.repeat(20_000)), /longer than 10000 characters/]
  ]
  for (const [question, message] of questions) {
    const { status, text } = await ask(join(dataPath, 'host.sock'), question)
    assert.equal(status, 400, question)
    assert.match(text, message)
  }
  assert.deepEqual(entries, [])
})
