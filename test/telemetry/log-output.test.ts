// A log that cannot be written, on real pipes and devices: no call throws or waits, and what was lost is counted.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createLogOutput } from '../../core/telemetry/log-output.ts'
import { createLog } from '../../core/telemetry/log-writer.ts'
import { oddValues } from '../support/odd-thrown.ts'
import { undo } from '../support/undo.ts'
import { until } from '../support/until.ts'

/** A named pipe of the test's own, open for writing without waiting, and a reader that can be opened and closed. */
async function makePipe (t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-log-'))
  undo(t, () => rm(folder, { recursive: true }))
  const path = join(folder, 'pipe')
  execFileSync('mkfifo', [path])
  const openReader = (): number => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const reader = openReader()
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  undo(t, () => closeSync(fd))
  return { fd, reader, openReader }
}

/** Reads what there is at present. */
function readAll (fd: number): string {
  const buffer = Buffer.alloc(65_536)
  let text = ''
  for (;;) {
    try {
      const count = readSync(fd, buffer)
      if (count === 0) return text
      text += buffer.toString('utf8', 0, count)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return text
      throw error
    }
  }
}

const msOf = (lines: string): string[] => lines.trim().split('\n').map(line => (JSON.parse(line) as { msg: string }).msg)

test('a reader that stalls blocks no call; lines are kept up to a limit, and the count of lost ones follows', async t => {
  const { fd, reader } = await makePipe(t)
  undo(t, () => closeSync(reader))
  const log = createLog({ level: 'info', format: 'json', destination: fd })
  const count = 6_000
  for (let line = 0; line < count; line++) log.info({ filler: 'ä'.repeat(150) }, `line ${line}`)
  assert.match(log.findProblem() ?? '', /the log cannot be written: its reader does not keep up \(EAGAIN\); \d+ bytes wait, and [1-9]\d* lines were lost so far/)

  let text = ''
  await until(() => { text += readAll(reader); return log.findProblem() === undefined })
  log.warn('after')
  text += readAll(reader)
  const lines = msOf(text)
  const kept = lines.filter(msg => msg.startsWith('line '))
  assert.deepEqual(kept, kept.map((_, line) => `line ${line}`))
  assert.deepEqual(lines.slice(kept.length), [`${count - kept.length} log lines were lost here: the log could not be written, because its reader does not keep up (EAGAIN)`, 'after'])
})

test('lines of one turn of the event loop are written together, in order, and before a more urgent one', async t => {
  const { fd, reader } = await makePipe(t)
  undo(t, () => closeSync(reader))
  const log = createLog({ level: 'info', format: 'json', destination: fd })
  log.info('one')
  log.info('two')
  assert.equal(readAll(reader), '')
  let text = ''
  await until(() => { text += readAll(reader); return text.includes('two') })
  log.info('three')
  log.warn('four')
  assert.deepEqual(msOf(text + readAll(reader)), ['one', 'two', 'three', 'four'])
  log.info('five')
  log.flush()
  assert.deepEqual(msOf(readAll(reader)), ['five'])
})

test('a full disk makes no call fail, and says so', () => {
  const fd = openSync('/dev/full', 'w')
  const log = createLog({ level: 'info', format: 'json', destination: fd })
  log.info('nowhere')
  log.fatal('nowhere')
  log.flush()
  assert.match(log.findProblem() ?? '', /no space is left \(ENOSPC\); \d+ bytes wait, and 0 lines were lost/)
  closeSync(fd)
})

test('a reader that has ended makes no call fail, and the next reader gets the lines', async t => {
  const { fd, reader, openReader } = await makePipe(t)
  closeSync(reader)
  const log = createLog({ level: 'info', format: 'json', destination: fd })
  log.warn('for the next reader')
  assert.match(log.findProblem() ?? '', /its reader has ended \(EPIPE\)/)
  const next = openReader()
  undo(t, () => closeSync(next))
  await until(() => log.findProblem() === undefined)
  assert.deepEqual(msOf(readAll(next)), ['for the next reader'])
})

test('the flush at the exit waits for a slow reader, for a limited time only', async t => {
  const { fd, reader } = await makePipe(t)
  undo(t, () => closeSync(reader))
  const output = createLogOutput({ fd, onLost: () => assert.fail('nothing is lost') })
  for (let line = 0; line < 200; line++) output.write(`${'x'.repeat(1_000)}\n`)
  const beganAt = performance.now()
  output.flush(50)
  assert.ok(performance.now() - beganAt >= 50)
  assert.notEqual(output.findProblem(), undefined)
  // The pipe takes the rest in several parts.
  let text = ''
  while (output.findProblem() !== undefined) {
    text += readAll(reader)
    output.flush(0)
  }
  assert.equal(text.length + readAll(reader).length, 200 * 1_001)
})

test('a log call never throws, whatever its facts, its error or its message are', () => {
  let text = ''
  const log = createLog({ level: 'trace', format: 'json', destination: { write: line => { text += line } } })
  const pretty = createLog({ level: 'trace', format: 'pretty', destination: { write: () => undefined } })
  for (const [, create] of oddValues) {
    for (const one of [log, pretty]) {
      one.error({ err: create() }, 'as the error')
      one.error({ deep: [{ value: create() }] }, 'as a fact')
      one.error(create() as object, 'as the facts')
      one.error(create() as string)
      one.error({}, create() as string)
      one.child(create() as object).error('as the facts of a child')
      one.child({ value: create() }).error('as a fact of a child')
      const { error } = one
      error('without its log')
    }
  }
  const lines = text.trim().split('\n').map(line => JSON.parse(line) as { msg?: string })
  const messages = new Map(lines.map(({ msg }) => [msg, lines.filter(line => line.msg === msg).length]))
  for (const msg of ['as the error', 'as a fact', 'as the facts of a child', 'as a fact of a child', 'without its log']) {
    assert.equal(messages.get(msg), oddValues.length, msg)
  }
  assert.ok(lines.every(line => JSON.stringify(line).length < 100_000))
})
