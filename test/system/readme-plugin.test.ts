// The plugins and the sessions with curl that README.md and plugins/README.md show, written out as they stand there and run on one host.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { readBlocks, type Block } from '../support/markdown.ts'
import { until } from '../support/until.ts'

const root = join(import.meta.dirname, '../..')
const password = 'correct horse battery'

const readDocument = async (path: string): Promise<Block[]> => readBlocks(await readFile(join(root, path), 'utf8'))

/** A block with a path behind its language is a file. */
async function writeFiles (folder: string, blocks: readonly Block[]): Promise<number> {
  const files = blocks.filter(({ title }) => title.includes('/'))
  for (const { title, content } of files) {
    await mkdir(dirname(join(folder, title)), { recursive: true })
    await writeFile(join(folder, title), content)
  }
  return files.length
}

/** Each session goes on with what those before it have set. */
const sessions = ['README.md', ...['identity', 'secrets', 'projects', 'notify'].map(id => `plugins/${id}/README.md`)]

/** Runs the script as a reader would who pastes it into a terminal; gives what is printed. */
async function paste (script: string, folder: string): Promise<string> {
  const child = spawn('bash', [], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.end(script)
  const [output, problems] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  assert.equal(problems, '')
  return output
}

test('the plugins and the sessions of the documents work as they stand there', async (t) => {
  const folder = await temporaryFolder(t)
  assert.equal(await writeFiles(folder, await readDocument('README.md')), 2)
  assert.equal(await writeFiles(folder, await readDocument('plugins/README.md')), 7)
  const host = startHost(t, {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t),
    PLATFORM_ADMIN_PASSWORD: password, PLATFORM_PLUGINS_PATH: `${join(root, 'plugins')}:${folder}`, PLATFORM_EGRESS_ALLOW: '127.0.0.1'
  })
  const { url } = await host.ready()
  const admin = await signIn(url, 'admin', password)

  await t.test('the plugin of README.md', async () => {
    assert.equal((await fetch(`${url}/api/greet?name=Ada`)).status, 401)
    assert.equal(await (await admin.get('/api/greet?name=Ada')).text(), '{"text":"Hello, Ada"}')
    assert.equal((await admin.get('/api/greet')).status, 422)
  })

  await t.test('the plugins of plugins/README.md', async () => {
    assert.equal((await fetch(`${url}/api/hello/ping`)).status, 200)
    assert.equal((await fetch(`${url}/api/hello`)).status, 401)
    assert.equal((await admin.post('/api/hello', { name: 'Ada' })).status, 201)
    assert.equal((await admin.post('/api/hello', { name: '' })).status, 422)
    const list = await (await admin.get('/api/hello')).json() as { name: string }[]
    assert.deepEqual(list.map(({ name }) => name), ['Ada'])

    assert.equal((await fetch(`${url}/api/parcel`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ to: 'Ada', weight: 2 })
    })).status, 202)
    await until(async () => await (await fetch(`${url}/api/parcel`)).text() === '{"told":1}')
  })

  const skip = spawnSync('curl', ['--version']).error !== undefined && 'needs curl'
  await t.test('the sessions with curl are refused where a comment says so, and nowhere else', { skip }, async () => {
    const blocks = (await Promise.all(sessions.map(readDocument))).flat().filter(({ title }) => title === 'session')
    assert.equal(blocks.length, sessions.length)
    const shown = blocks.map(({ content }) => content).join('')
    const output = await paste(shown.replace('paste the printed password here', password).replace('http://127.0.0.1:8080', url).replace(':9999/', ':1/'), await temporaryFolder(t))
    const statuses = (lines: string, pattern: RegExp): string[] => [...lines.matchAll(pattern)].map(([, status = '']) => status)
    const promised = statuses(shown.replaceAll(/^[^#\n]*/gm, ''), /\b(4\d\d)\b/g)
    assert.deepEqual(statuses(output, /^\{.*"status":(\d+)/gm), promised, output)
    assert.match(output, /"title":"Hello"/)
    assert.match(output, /"value":"the second one"/)
    assert.match(output, /"status":"merged"/)
    assert.match(output, /"kind":"issue\.assigned"/)
  })

  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})
