// Log lines: facts and a sentence, with the level as a word, and no secret wherever it hides.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { createLog, type RootLog } from '../../core/telemetry/log-writer.ts'

/** A JSON log and its lines. */
function capture (level: 'trace' | 'info' = 'trace'): { log: RootLog, text: () => string, lines: () => Record<string, unknown>[] } {
  let text = ''
  const log = createLog({ level, format: 'json', destination: { write: line => { text += line } } })
  return { log, text: () => text, lines: () => text.trim().split('\n').map(line => JSON.parse(line) as Record<string, unknown>) }
}

test('a line is JSON with the level as a word, an ISO time, the facts and the sentence', () => {
  const { log, lines } = capture()
  log.warn({ port: 8080 }, 'ready')
  const [{ time, ...rest } = {}] = lines()
  assert.deepEqual(rest, { level: 'warn', port: 8080, msg: 'ready' })
  assert.equal(new Date(String(time)).toISOString(), time)
})

test('what is under the level is left out', () => {
  const { log, lines } = capture('info')
  log.debug('left out')
  log.child({ plugin: 'notes' }).trace('left out')
  log.info('kept')
  assert.deepEqual(lines().map(({ msg }) => msg), ['kept'])
})

test('a child adds its facts to its parent\'s, at any depth', () => {
  const { log, lines } = capture()
  log.child({ plugin: 'notes' }).child({ requestId: 'r1' }).child({ token: 'hunter2' }).info('kept')
  const [{ plugin, requestId, token } = {}] = lines()
  assert.deepEqual([plugin, requestId, token], ['notes', 'r1', '[secret]'])
})

test('a fact with a secret name is masked at any depth, and the caller\'s object is left alone', () => {
  const { log, text, lines } = capture()
  const facts = {
    headers: { Authorization: 'hunter2', cookie: 'hunter2', 'set-cookie': ['hunter2'], accept: 'text/html' },
    list: [{ newPassword: 'hunter2', name: 'ada' }],
    user: { apiKey: 'hunter2', masterKey: Uint8Array.of(7, 7), clientSecret: 'hunter2', access_token: 'hunter2', tokenId: 't1' },
    password: null
  }
  const before = structuredClone(facts)
  log.info(facts, 'a request')
  log.child(facts).info('again')
  assert.ok(!text().includes('hunter2'), text())
  const [{ headers, list, user, password } = {}] = lines()
  assert.deepEqual(headers, { Authorization: '[secret]', cookie: '[secret]', 'set-cookie': '[secret]', accept: 'text/html' })
  assert.deepEqual([list, password], [[{ newPassword: '[secret]', name: 'ada' }], null])
  assert.deepEqual(user, { apiKey: '[secret]', masterKey: '[secret]', clientSecret: '[secret]', access_token: '[secret]', tokenId: 't1' })
  assert.deepEqual(facts, before)
})

test('a password in a URL is masked wherever the URL is', () => {
  const { log, text } = capture()
  log.error({ err: new Error('no postgres://bulkhead:hunter2@db:5432/x'), url: 'redis://:hunter2@cache' }, 'gone: https://u:hunter2@s3/b')
  assert.ok(!text().includes('hunter2'), text())
  assert.match(text(), /postgres:\/\/bulkhead:\[secret\]@db:5432\/x/)
})

test('a token of the host is masked wherever it stands in a line, in every spelling', () => {
  const { log, text, lines } = capture()
  const hex = 'ab01'.repeat(16)
  for (const token of [`plat_${hex}`, `plat_api_${hex}01234567`, `plat_link_${hex}`, `PLAT_API_${hex.toUpperCase()}`, `plat%5Fapi%5F${hex}`, `plat_api_${hex.slice(0, 20)}`]) {
    log.info({ url: `/api/notes?key=${token}&limit=1`, requestId: token, err: new Error(`no user "${token}"`) }, `not found: ${token}`)
  }
  assert.doesNotMatch(text(), /[0-9a-f]{16}/i)
  assert.equal(lines()[0]?.['url'], '/api/notes?key=[secret]&limit=1')
})

test('an error tells its type, code, stack and what caused it, but not what a driver hung on it', () => {
  const { log, text, lines } = capture()
  const driver = Object.assign(new Error('duplicate key'), { code: '23505', constraint: 'users_name_key', detail: 'Key (name)=(hunter2)', values: ['hunter2'] })
  log.error({ err: new TypeError('not saved', { cause: new AggregateError([driver, 'text'], 'both') }) }, 'failed')
  assert.ok(!text().includes('hunter2'), text())
  const [line = {}] = lines()
  const err = line.err as { type: string, message: string, stack: string, cause: { type: string, errors: [Record<string, unknown>, string] } }
  assert.deepEqual([err.type, err.message, err.cause.type], ['TypeError', 'not saved', 'AggregateError'])
  assert.match(err.stack, /log-writer\.test\.ts/)
  const [first, second] = err.cause.errors
  assert.deepEqual([first.code, first.constraint, first.message, second], ['23505', 'users_name_key', 'duplicate key', 'text'])
})

test('whatever is thrown can be logged', () => {
  const { log, lines } = capture()
  const circular: Record<string, unknown> = { name: 'loop' }
  circular.self = circular
  const loop = new Error('loop')
  loop.cause = loop
  for (const err of [null, undefined, 'text', 7, Symbol('s'), circular, loop, 10n]) log.error({ err }, 'failed')
  assert.equal(lines().length, 8)
  assert.ok(lines().every(({ msg }) => msg === 'failed'))
})

test('pretty lines show people the plugin, the sentence, the facts, an error over several lines', () => {
  let text = ''
  const log = createLog({ level: 'info', format: 'pretty', destination: { write: line => { text += line } } })
  log.child({ plugin: 'notes' }).info({ count: 3, password: 'hunter2' }, 'kept')
  log.error({ err: new Error('no ink') }, 'failed')
  assert.match(text, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: \[notes\] kept \{"count":3,"password":"\[secret\]"\}$/m)
  assert.match(text, /ERROR: failed[^]*no ink[^]*log-writer\.test\.ts/)
  assert.ok(!text.includes('hunter2'))
})

test('the last line before an exit is out, in either format', async () => {
  const module = join(import.meta.dirname, '../../core/telemetry/log-writer.ts')
  for (const format of ['json', 'pretty', 'auto']) {
    const script = `import { createLog } from ${JSON.stringify(module)}
      const log = createLog({ level: 'info', format: '${format}' })
      for (let line = 1; line <= 2000; line++) log.info({ filler: 'x'.repeat(100) }, 'line ' + line)
      log.flush()
      process.exit(0)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { maxBuffer: 2 ** 24 })
    const lines = stdout.trim().split('\n')
    assert.equal(lines.length, 2000, format)
    assert.match(lines.at(-1) ?? '', format === 'pretty' ? /INFO: line 2000/ : /"msg":"line 2000"/)
  }
})
