// A host whose log cannot be written starts, serves, says so in /health, and stops with the exit code of its stop.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDatabase } from '../support/database.ts'
import { temporaryFolder } from '../support/host.ts'
import { freePort } from '../support/process.ts'
import { undo } from '../support/undo.ts'
import { until } from '../support/until.ts'

/** Starts a host with this standard output; its ports are known because its log is not read. */
async function startHost (t: TestContext, stdout: 'pipe' | number) {
  const [port, probes] = [await freePort(), await freePort()]
  const DATABASE_URL = await createDatabase(t, { migrated: 'plugins' })
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../core/main.js')], {
    env: {
      PATH: process.env.PATH, HOME: process.env.HOME, PLATFORM_LISTEN: `127.0.0.1:${port}`, LIGHTSHIP_PORT: `${probes}`, PLATFORM_LOG_FORMAT: 'json',
      PLATFORM_LOG_LEVEL: 'debug', DATABASE_URL, PLATFORM_DATA_PATH: await temporaryFolder(t)
    },
    stdio: ['ignore', stdout, 'inherit']
  })
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>
  undo(t, async () => { child.kill('SIGKILL'); await ended })
  const ask = async (path: string): Promise<{ status: number, text: string }> => {
    const answer = await fetch(`http://127.0.0.1:${path.startsWith('/api') ? port : probes}${path}`, { signal: AbortSignal.timeout(10_000) })
    return { status: answer.status, text: await answer.text() }
  }
  await until(async () => {
    assert.equal(child.exitCode, null)
    return ask('/ready').then(({ status }) => status === 200, () => false)
  })
  return { child, ended, ask }
}

test('with a full disk behind its log a host serves, and stops with exit code 0', async t => {
  const { child, ended, ask } = await startHost(t, openSync('/dev/full', 'w'))
  assert.equal((await ask('/api/auth/me')).status, 401)
  const { status, text } = await ask('/health')
  assert.equal(status, 200)
  assert.match(text, /the log cannot be written: no space is left \(ENOSPC\); \d+ bytes wait/)
  child.kill('SIGTERM')
  assert.deepEqual(await ended, [0, null])
})

test('a log reader that stalls stops no request, and then reads how many lines were lost', async t => {
  const { child, ended, ask } = await startHost(t, 'pipe')
  let asked = 0
  await until(async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(`/api/${'x'.repeat(900)}`)))
    assert.ok(answers.every(({ status }) => status === 404))
    asked += answers.length
    return / [1-9]\d* lines were lost so far/.test((await ask('/health')).text)
  })
  assert.ok(asked > 297)
  assert.equal((await ask('/live')).status, 200)

  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (part: string) => { output += part })
  await until(() => /"msg":"\d+ log lines were lost here: the log could not be written, because its reader does not keep up/.test(output))
  assert.doesNotMatch((await ask('/health')).text, /log/)
  assert.deepEqual(output.split('\n').slice(0, -1).filter(line => !line.startsWith('{') || !line.endsWith('}')).map(line => line.slice(0, 20)), ['The first admin is "'])
  assert.match(output, /^\{[^\n]*"version":"[\d.]+","replica":"[\w-]+","pid":\d+,[^\n]*"msg":"Bulkhead [\d.]+ starts: Node v/)
  child.stdout?.pause()
  child.kill('SIGTERM')
  assert.deepEqual(await ended, [0, null])
})

test('a process that was frozen and continued is not taken for code that computes', async t => {
  const { child, ask } = await startHost(t, 'pipe')
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (part: string) => { output += part })
  child.kill('SIGSTOP')
  // The host finds out about a standstill of more than a second.
  await sleep(2_500)
  child.kill('SIGCONT')
  await until(() => /stood still for \d+ ms, and no request was answered meanwhile: this process used only \d+ ms of CPU, so it was/.test(output))
  assert.doesNotMatch(output, /some code computes/)
  assert.equal((await ask('/live')).status, 200)
})
