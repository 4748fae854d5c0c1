// The development database: made at the first start, kept after it, in one host at a time, whoever runs the host.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { openEmbeddedPostgres } from '../../../core/resources/embedded/embedded-postgres.ts'
import { isAlive } from '../../../core/resources/embedded/folder-lock.ts'
import { findPostgresBinaries, linkLibraries } from '../../../core/resources/embedded/postgres-binary.ts'
import { chooseServerUser } from '../../../core/resources/embedded/server-user.ts'
import { connectClient } from '../../../core/resources/postgres/postgres-client.ts'
import { openParts } from '../../support/part.ts'
import { undo } from '../../support/undo.ts'
import { until } from '../../support/until.ts'

const isRoot = process.getuid?.() === 0
const nobody = ['/usr/bin/setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups']

async function makeFolder (t: TestContext, mode = 0o755): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-embedded-'))
  await chmod(folder, mode)
  undo(t, () => rm(folder, { recursive: true }))
  return folder
}

let prepared: Promise<string> | undefined
after(async () => { if (prepared !== undefined) await rm(await prepared, { recursive: true }) })

async function prepare (): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-embedded-'))
  await (await openEmbeddedPostgres({ dataPath: folder, parameters: { fsync: 'off' } }, openParts())).close()
  return folder
}

/** A folder of the test's own in which there has been a first start, which takes a while. */
async function makeUsedFolder (t: TestContext): Promise<string> {
  const folder = await makeFolder(t)
  await promisify(execFile)('cp', ['-a', `${await (prepared ??= prepare())}/.`, folder])
  await chmod(folder, 0o755)
  return folder
}

/** Closed after the test; `close` may be called before. */
async function open (t: TestContext, dataPath: string, parts = openParts()) {
  const server = await openEmbeddedPostgres({ dataPath, parameters: { fsync: 'off' } }, parts)
  let closing: Promise<void> | undefined
  const close = () => closing ??= server.close()
  undo(t, close)
  return { ...server.value, check: server.check, close }
}

async function ask (url: string, text: string): Promise<unknown[]> {
  const client = await connectClient({ url, applicationName: 'test', searchPath: 'public', connectTimeoutMs: 20_000 })
  try { return (await client.query<Record<string, unknown>>(text)).rows.map(row => Object.values(row)[0]) } finally { await client.end() }
}

interface Printed { url?: string, pid?: number, error?: string }

/** Runs a host in a process of its own, as the user that `prefix` makes it. */
async function runHost (t: TestContext, dataPath: string, prefix: string[] = []): Promise<Printed & { host: ChildProcess }> {
  const host = spawn('env', [...prefix, process.execPath, join(import.meta.dirname, 'embedded-host.ts'), dataPath], { stdio: ['ignore', 'pipe', 'inherit'] })
  undo(t, async () => {
    if (host.exitCode !== null || host.signalCode !== null) return
    host.kill()
    await once(host, 'exit')
  })
  const ended = once(host, 'exit').then(() => { throw new Error('the host ended before it said anything; its standard error is above') })
  const [line] = await Promise.race([once(createInterface(host.stdout), 'line') as Promise<[string]>, ended])
  // Its end is what most tests here bring about.
  ended.catch(() => undefined)
  return { host, ...JSON.parse(line) as Printed }
}

/** Whether other users may go to where this checkout is, as the server's user and the hosts of other users must. */
const isReachable = ((folder: string): boolean => {
  for (let at = folder; ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false
    if (at === dirname(at)) return true
  }
})(import.meta.dirname)

test('the first start creates a UTF-8 database, and the second keeps it with its password', async t => {
  const folder = await makeFolder(t)
  const first = await open(t, folder)
  assert.match(first.url, /^postgres:\/\/bulkhead:[0-9a-f]{48}@127\.0\.0\.1:\d+\/bulkhead$/)
  assert.deepEqual(await ask(first.url, 'SHOW server_encoding'), ['UTF8'])
  await ask(first.url, 'CREATE TABLE kept AS SELECT upper(\'äö\') AS word')
  await first.check(AbortSignal.timeout(1_000))
  await first.close()
  assert.equal(isAlive(first.pid), false)

  const second = await open(t, folder)
  assert.deepEqual(await ask(second.url, 'SELECT word FROM kept'), ['ÄÖ'])
  assert.equal(new URL(second.url).password, new URL(first.url).password)
  assert.equal(statSync(join(folder, 'postgres.password')).mode & 0o777, 0o600)
  assert.deepEqual((await readdir(folder)).sort(), ['postgres', 'postgres.lock', 'postgres.log', 'postgres.password'])
})

test('nobody gets in without the password, and only this machine is listened to', async t => {
  const { url } = await open(t, await makeUsedFolder(t))
  const wrong = new URL(url)
  wrong.password = 'guess'
  await assert.rejects(ask(wrong.href, 'SELECT 1'), /password authentication failed/)
  assert.deepEqual(await ask(url, 'SHOW listen_addresses'), ['127.0.0.1'])
  assert.deepEqual(await ask(url, 'SHOW unix_socket_directories'), [''])
})

test('a password that was lost is made anew', async t => {
  const folder = await makeUsedFolder(t)
  const path = join(folder, 'postgres.password')
  const lost = readFileSync(path, 'utf8')
  await rm(path)
  const { url } = await open(t, folder)
  assert.notEqual(readFileSync(path, 'utf8'), lost)
  assert.deepEqual(await ask(url, 'SELECT 1'), [1])
})

test('a first start that was interrupted begins again', async t => {
  const folder = await makeFolder(t)
  await mkdir(join(folder, 'postgres.new', 'base'), { recursive: true })
  await writeFile(join(folder, 'postgres.new', 'PG_VERSION'), '18\n')
  const { url } = await open(t, folder)
  assert.deepEqual(await ask(url, 'SELECT 1'), [1])
  assert.equal(existsSync(join(folder, 'postgres.new')), false)
})

test('a start that is given up leaves nothing running and the folder free', async t => {
  const folder = await makeUsedFolder(t)
  const abort = new AbortController()
  const opening = open(t, folder, openParts({ signal: abort.signal }))
  await until(() => existsSync(join(folder, 'postgres', 'postmaster.pid')))
  abort.abort(new Error('the host stops'))
  await assert.rejects(opening, /the host stops/)
  assert.equal(existsSync(join(folder, 'postgres', 'postmaster.pid')), false)
  await open(t, folder)
})

test('a folder in use is refused, naming the process', async t => {
  const folder = await makeUsedFolder(t)
  await open(t, folder)
  await assert.rejects(open(t, folder), error => {
    assert.ok(Error.isError(error))
    assert.ok(error.message.includes(`${folder} is in use by another host (process ${process.pid})`), error.message)
    return true
  })
})

test('of two hosts that start at once on one folder, one gets it', async t => {
  const folder = await makeUsedFolder(t)
  await writeFile(join(folder, 'postgres.lock'), '1 from before the last boot\n')
  const results = await Promise.all([runHost(t, folder), runHost(t, folder)])
  assert.deepEqual(results.map(({ url }) => url !== undefined).sort(), [false, true])
  assert.match(results.find(({ error }) => error !== undefined)?.error ?? '', /in use by another host/)
})

test('the server of a host that was killed is taken over, with its data', async t => {
  const folder = await makeUsedFolder(t)
  const killed = await runHost(t, folder)
  assert.ok(killed.url !== undefined && killed.pid !== undefined)
  await ask(killed.url, 'CREATE TABLE kept AS SELECT 7 AS number')
  killed.host.kill('SIGKILL')
  await once(killed.host, 'exit')
  const { url, pid } = await open(t, folder)
  assert.notEqual(pid, killed.pid)
  assert.equal(isAlive(killed.pid), false)
  assert.deepEqual(await ask(url, 'SELECT number FROM kept'), [7])
})

test('the server ends with its host, also with one that was killed', async t => {
  const { host, pid } = await runHost(t, await makeUsedFolder(t))
  assert.ok(pid !== undefined && isAlive(pid))
  host.kill('SIGKILL')
  await until(() => !isAlive(pid))
})

test('Ctrl-C in a terminal does not reach the server: it has a session of its own', { skip: !existsSync('/proc/self/stat') }, async t => {
  const { pid } = await open(t, await makeUsedFolder(t))
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [, , group, session] = stat.slice(stat.lastIndexOf(')') + 1).trim().split(' ')
  assert.deepEqual([group, session], [`${pid}`, `${pid}`])
})

test('a server that has ended fails the check, which shows the end of its log', async t => {
  const { pid, check } = await open(t, await makeUsedFolder(t))
  process.kill(pid, 'SIGQUIT')
  await until(() => !isAlive(pid))
  await assert.rejects(check(AbortSignal.timeout(1_000)), /has ended; start the host again\. The end of .*postgres\.log:[^]*immediate shutdown/)
})

test('data of another version is refused, with what to do', async t => {
  const folder = await makeUsedFolder(t)
  await writeFile(join(folder, 'postgres', 'PG_VERSION'), '17\n')
  await assert.rejects(open(t, folder), /is of another version of PostgreSQL: move the folder away[^]*initialized by PostgreSQL version 17/)
})

test('a data folder that cannot be one is refused, with what to do', async t => {
  const file = join(await makeFolder(t), 'a-file')
  await writeFile(file, '')
  for (const path of [file, join(file, 'below')]) {
    await assert.rejects(open(t, path), error => Error.isError(error) &&
      error.message.startsWith(`The embedded PostgreSQL cannot work in the data folder ${path}:`) && error.message.includes('PLATFORM_DATA_PATH'))
  }
})

test('a platform without binaries is told so, with what to do', async () => {
  await assert.rejects(findPostgresBinaries('plan9-mips'), /not installed for plan9-mips.*npm ci --include=optional.*DATABASE_URL/)
})

test('libraries that a refused install script did not link are linked', async t => {
  const { folder: native } = await findPostgresBinaries()
  const copy = await makeFolder(t)
  await cp(join(dirname(native), 'scripts'), join(copy, 'scripts'), { recursive: true })
  const list = readFileSync(join(native, 'pg-symlinks.json'), 'utf8')
  const links = JSON.parse(list) as { source: string, target: string }[]
  assert.ok(links.length > 0)
  await mkdir(join(copy, 'native', 'lib'), { recursive: true })
  await writeFile(join(copy, 'native', 'pg-symlinks.json'), list)
  for (const { source } of links) await writeFile(join(copy, source), source)
  await linkLibraries(copy, 'the-package')
  for (const { source, target } of links) assert.equal(readFileSync(join(copy, target), 'utf8'), source)

  await rm(join(copy, 'scripts', 'hydrate-symlinks.js'))
  await writeFile(join(copy, 'scripts', 'hydrate-symlinks.js'), '')
  await rm(join(copy, links[0]?.target ?? ''))
  await assert.rejects(linkLibraries(copy, 'the-package'), /is incomplete: .* is missing[^]*npm rebuild the-package/)
})

test('root runs the server as another user, who owns its data only and has no further rights', { skip: !isRoot }, async t => {
  const folder = await makeFolder(t)
  const { pid, url } = await open(t, folder)
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1])
  assert.notEqual(uid, 0)
  if (isReachable) assert.match(status, /^CapEff:\s+0+$/m)
  assert.match(status, /^Groups:\s*$/m)
  assert.equal(statSync(join(folder, 'postgres')).uid, uid)
  for (const file of ['.', 'postgres.password', 'postgres.log', 'postgres.lock']) assert.equal(statSync(join(folder, file)).uid, 0)
  assert.deepEqual(await ask(url, 'SELECT 1'), [1])
})

test('root runs it below a folder that is closed to everyone else', { skip: !isRoot }, async t => {
  const folder = join(await makeFolder(t, 0o700), 'deeper', 'data')
  const { pid, url, close } = await open(t, folder)
  assert.doesNotMatch(readFileSync(`/proc/${pid}/status`, 'utf8'), /^Uid:\s+0\s/m)
  await ask(url, 'CREATE TABLE kept AS SELECT 7 AS number')
  await close()
  const again = await open(t, folder)
  assert.deepEqual(await ask(again.url, 'SELECT number FROM kept'), [7])
})

test('a process that root runs as another user reaches closed files, also if it asks access(2)', { skip: !isRoot }, async t => {
  const file = join(await makeFolder(t, 0o700), 'file')
  await writeFile(file, '', { mode: 0o700 })
  const { prefix, credentials, owner } = await chooseServerUser(undefined, [file])
  const script = 'fs.accessSync(process.argv[1], fs.constants.R_OK | fs.constants.X_OK); console.log(process.getuid())'
  const { stdout } = await promisify(execFile)('env', [...prefix, process.execPath, '-e', script, file], credentials)
  assert.equal(Number(stdout), owner?.uid)
  assert.notEqual(owner?.uid, 0)
})

test('a user runs the server as itself, root as that user, and a foreign folder is refused', {
  skip: !isRoot || (!isReachable && 'other users cannot reach this checkout')
}, async t => {
  const folder = await makeFolder(t, 0o777)
  const own = join(folder, 'own')
  const { host, pid, error } = await runHost(t, own, nobody)
  assert.equal(error, undefined)
  assert.equal(statSync(`/proc/${pid}`).uid, statSync(own).uid)
  assert.notEqual(statSync(own).uid, 0)
  host.kill()
  await once(host, 'exit')

  const asRoot = await open(t, own)
  assert.equal(statSync(`/proc/${asRoot.pid}`).uid, statSync(own).uid)
  await asRoot.close()
  await promisify(execFile)('cp', ['-a', await makeUsedFolder(t), join(folder, 'roots')])
  const refused = await runHost(t, join(folder, 'roots'), nobody)
  assert.match(refused.error ?? '', /cannot work in the data folder .*roots: EACCES.*Give the folder to the user who runs the host/)
})
