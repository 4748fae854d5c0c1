// Operating the plugins of a host that serves, as an operator does: by the API, by `npm run plugins`, and by what is on disk.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Lifecycle, PluginStatus } from '../../core/contract/index.ts'
import { replaceUnderLoad } from '../bench/replace.ts'
import { signIn, type Client } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder, type HostProcess } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { until } from '../support/until.ts'

const password = 'correct horse battery'
const own = join(import.meta.dirname, '../../plugins')

interface Operated {
  readonly host: HostProcess
  readonly url: string
  readonly probesUrl: string
  readonly admin: Client
  readonly env: Record<string, string>
  /** Where plugins are written. */
  readonly folder: string
  status (id: string): Promise<PluginStatus>
  /** The status and what was said. */
  operate (id: string, verb: 'reload' | 'enable' | 'disable', body?: object): Promise<[number, string]>
  /** The answer's text, or its status when it is no success. */
  see (path: string): Promise<string | number>
}

async function start (t: TestContext, env: Record<string, string>, folder: string): Promise<Operated> {
  const all = { PLATFORM_ADMIN_PASSWORD: password, PLATFORM_PLUGINS_PATH: `${own}:${folder}`, PLATFORM_DATA_PATH: await temporaryFolder(t), ...env }
  const host = startHost(t, all)
  const { url, probesUrl } = await host.ready()
  const admin = await signIn(url, 'admin', password)
  return {
    host, url, probesUrl, admin, env: all, folder,
    status: async id => await (await admin.get(`/api/plugins/${id}`)).json() as PluginStatus,
    operate: async (id, verb, body) => {
      const answer = await admin.post(`/api/plugins/${id}/${verb}`, body)
      const text = await answer.text()
      return [answer.status, answer.ok ? (JSON.parse(text) as PluginStatus).state : (JSON.parse(text) as { detail: string }).detail]
    },
    see: async path => {
      const answer = await fetch(`${url}/api/${path}`)
      return answer.ok ? await answer.text() : answer.status
    }
  }
}

const operated = async (t: TestContext, write: (folder: string) => Promise<void> = async () => undefined): Promise<Operated> => {
  const folder = await temporaryFolder(t)
  await write(folder)
  return start(t, { DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }) }, folder)
}

/** Says `word`, which a module of its own holds. */
async function writeTalker (folder: string, id: string, word: string, manifest: object = {}, version = '1.0.0'): Promise<void> {
  await writePlugin(folder, id, manifest, `
    import { word } from './word.js'
    export default { start ({ routes, plugins }) {
      routes.get('/', { public: 'a test' }, () => word)
      return { word: () => word, label: word }
    } }`)
  await setVersion(folder, id, version)
  await writeFile(join(folder, id, 'word.js'), `export const word = '${word}'`)
}

async function setVersion (folder: string, id: string, version: string): Promise<void> {
  const file = join(folder, id, 'package.json')
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')) as object, version }))
}

test('a plugin is replaced under load, every module of it, and no request is lost', async (t) => {
  const rounds = process.env.BULKHEAD_LONG === undefined ? 5 : 200
  const { load, calm, switchMs, stale, heapBytesEach } = await replaceUnderLoad(t, { rounds, requestsPerSecond: 100, calmMs: 500, pauseMs: 50 })
  t.diagnostic(`${load.sent} requests during ${rounds} replacements, each ${Math.round(switchMs.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] ?? NaN)} ms, ${Math.round(heapBytesEach / 1_024)} kB of heap each`)
  assert.ok(load.sent > rounds)
  assert.deepEqual([calm.failed, load.failed, stale], [{}, {}, 0])
  // What the module cache keeps of twenty modules, several times over.
  if (rounds >= 100) assert.ok(heapBytesEach < 20 * 20 * 1_024, `each replacement left ${heapBytesEach} bytes behind`)
})

test('whatever fails before the switch leaves the last generation serving, and says why', async (t) => {
  const { folder, operate, see, status } = await operated(t, async folder => {
    await writeTalker(folder, 'talker', 'first', { resources: ['postgres'] })
    await writeTalker(folder, 'other', 'other')
  })
  const index = join(folder, 'talker/index.js')
  const good = await readFile(index, 'utf8')
  const manifest = await readFile(join(folder, 'talker/package.json'), 'utf8')
  const withManifest = (change: object): string => {
    const content = JSON.parse(manifest) as { bulkhead: object }
    return JSON.stringify({ ...content, bulkhead: { ...content.bulkhead, ...change } })
  }
  const tries: readonly [what: string, write: () => Promise<void>, said: RegExp][] = [
    ['code that does not parse', () => writeFile(index, 'export default {{{'), /index\.js:1: Unexpected token/],
    ['an import that throws', () => writeFile(index, 'throw new Error("out of ink")'), /out of ink/],
    ['a start that throws', () => writeFile(index, 'export default { start () { throw new Error("no paper") } }'), /"talker" was not replaced: .*no paper/],
    ['a route without a guard', () => writeFile(index, 'export default { start ({ routes }) { routes.get("/", {}, () => 1) } }'), /does not say who may call it/],
    ['no definition', () => writeFile(index, 'export const nothing = 1'), /no default export that is a plugin/],
    ['a wrong setting', () => writeFile(index, 'export default { config: { days: { doc: "Days", format: "nat", default: -1 } }, start () {} }'), /days/],
    ['a manifest that does not parse', () => writeFile(join(folder, 'talker/package.json'), '{'), /not JSON/],
    ['a mount of another', () => writeFile(join(folder, 'talker/package.json'), withManifest({ mounts: ['other'] })), /The mount "other" is also one of "other"/],
    ['a need that is not here', () => writeFile(join(folder, 'talker/package.json'), withManifest({ requires: { nobody: '*' } })), /requires "nobody", which is not here/],
    ['a migration with a mistake', async () => {
      await writeFile(join(folder, 'talker/package.json'), withManifest({ resources: ['postgres'] }))
      await mkdir(join(folder, 'talker/migrations'), { recursive: true })
      await writeFile(join(folder, 'talker/migrations/0001_thing.sql'), 'create tabel thing (id int);')
      await writeFile(join(folder, 'talker/migrations/0001_thing.down.sql'), 'drop table thing;')
    }, /0001_thing\.sql/]
  ]
  for (const [what, write, said] of tries) {
    await write()
    const [code, detail] = await operate('talker', 'reload')
    assert.equal(code, 409, what)
    assert.match(detail, said, what)
    assert.equal(await see('talker'), 'first', what)
    await writeFile(index, good)
    await writeFile(join(folder, 'talker/package.json'), manifest)
  }
  assert.equal((await status('talker')).state, 'running')

  await rm(join(folder, 'talker/migrations'), { recursive: true })
  await writeFile(join(folder, 'talker/word.js'), 'export const word = "last"')
  assert.deepEqual(await operate('talker', 'reload'), [200, 'running'])
  assert.equal(await see('talker'), 'last')
  const { generation, restarts } = await status('talker')
  assert.ok(generation > 2, `generation ${generation}`)
  assert.equal(restarts, 1)
})

test('a running request ends in the generation it began with; the next finds a new migration', async (t) => {
  const { folder, operate, see, url } = await operated(t, async folder => {
    await writePlugin(folder, 'slow', { resources: ['postgres'] }, `
      export default { start ({ routes, clock, postgres }) {
        routes.get('/', { public: 'a test' }, async () => { await clock.sleep(1500); return 'first' })
      } }`)
  })
  const under = see('slow')
  const stream = fetch(`${url}/api/slow`)
  await until(async () => (await fetch(`${url}/healthz`)).ok)
  await new Promise(resolve => setTimeout(resolve, 200))
  await mkdir(join(folder, 'slow/migrations'))
  await writeFile(join(folder, 'slow/migrations/0001_thing.sql'), 'create table slow.thing (id int); insert into slow.thing values (7);')
  await writeFile(join(folder, 'slow/migrations/0001_thing.down.sql'), 'drop table slow.thing;')
  await writeFile(join(folder, 'slow/index.js'), `
    import { sql, z } from 'bulkhead'
    export default { start ({ routes, postgres }) {
      routes.get('/', { public: 'a test' }, async () => String(await postgres.oneFirst(sql.type(z.object({ id: z.int() }))\`select id from slow.thing\`)))
    } }`)
  assert.deepEqual(await operate('slow', 'reload'), [200, 'running'])
  assert.equal(await see('slow'), '7')
  assert.equal(await under, 'first')
  assert.equal((await stream).status, 200)
})

test('dependents are handed the new service; those whose range it leaves are held, and come back', async (t) => {
  const { folder, operate, see, status } = await operated(t, async folder => {
    await writeTalker(folder, 'ledger', 'one')
    const uses = `export default { start ({ routes, plugins }) {
      const { word } = plugins.ledger
      const { ledger } = plugins
      routes.get('/', { public: 'a test' }, () => [word(), ledger.word(), ledger.label, plugins.ledger.label].join(' '))
    } }`
    await writePlugin(folder, 'invoices', { requires: { ledger: '^1.0.0' } }, uses)
    await writePlugin(folder, 'reports', { requires: { invoices: '*' } }, "export default { start ({ routes }) { routes.get('/', { public: 'a test' }, () => 'reports') } }")
    await writePlugin(folder, 'audit', { requires: { ledger: '>=1' } }, uses)
  })
  await writeTalker(folder, 'ledger', 'two', {}, '1.1.0')
  assert.deepEqual(await operate('ledger', 'reload'), [200, 'running'])
  assert.equal(await see('invoices'), 'two two two two')
  assert.equal((await status('invoices')).restarts, 0)

  await writeTalker(folder, 'ledger', 'three', {}, '2.0.0')
  assert.deepEqual(await operate('ledger', 'reload'), [200, 'running'])
  await until(async () => (await status('reports')).state === 'held')
  assert.equal((await status('invoices')).reason, 'invoices → ledger (it requires "ledger" ^1.0.0, and 2.0.0 is here)')
  assert.deepEqual([await see('invoices'), await see('reports'), await see('audit')], [503, 503, 'three three three three'])

  await writeTalker(folder, 'ledger', 'four', {}, '1.2.0')
  assert.deepEqual(await operate('ledger', 'reload'), [200, 'running'])
  await until(async () => (await status('reports')).state === 'running')
  assert.equal(await see('invoices'), 'four four four four')
})

test('a folder that is new is installed, one that has gone is removed, and may come back', async (t) => {
  const { folder, operate, see, admin } = await operated(t)
  assert.deepEqual(await operate('late', 'reload'), [404, 'There is no plugin "late".'])
  await writeTalker(folder, 'late', 'here', { requires: { notes: '^1.0.0' } })
  assert.deepEqual(await operate('late', 'reload'), [200, 'running'])
  assert.equal(await see('late'), 'here')

  await rename(join(folder, 'late'), join(await temporaryFolder(t), 'late'))
  assert.deepEqual(await operate('late', 'reload'), [200, 'disabled'])
  assert.deepEqual([await see('late'), (await operate('late', 'enable'))[0]], [404, 404])
  const { items } = await (await admin.get('/api/plugins')).json() as { items: PluginStatus[] }
  assert.equal(items.some(({ id }) => id === 'late'), false)

  await writeTalker(folder, 'late', 'back')
  assert.deepEqual(await operate('late', 'reload'), [200, 'running'])
  assert.equal(await see('late'), 'back')

  // Its permissions are there from its first moment, and an admin holds every one.
  await writePlugin(folder, 'guarded', {}, `export default {
    permissions: { 'guarded:see': { description: 'See it' } }, start ({ routes }) { routes.get('/', { permission: 'guarded:see' }, () => 'seen') }
  }`)
  assert.deepEqual(await operate('guarded', 'reload'), [200, 'running'])
  await until(async () => (await admin.get('/api/guarded')).status === 200)
})

test('what is switched off answers 503 everywhere, after a restart too, until it is switched on', async (t) => {
  const folder = await temporaryFolder(t)
  await writeTalker(folder, 'talker', 'here')
  const env = { DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), VALKEY_URL: process.env['TEST_VALKEY_URL'] ?? '', PLATFORM_MASTER_KEY: 'ab'.repeat(31) + 'cd' }
  const first = await start(t, env, folder)
  const second = await start(t, env, folder)
  assert.deepEqual(await first.operate('talker', 'disable', { reason: 'it sings' }), [200, 'disabled'])
  const refused = await fetch(`${first.url}/api/talker`)
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '5'])
  assert.equal((await refused.json() as { detail: string }).detail, 'The plugin "talker" is switched off.')
  await until(async () => (await second.status('talker')).state === 'disabled')
  assert.equal((await second.status('talker')).reason, 'admin switched it off: it sings')

  second.host.signal('SIGTERM')
  assert.equal(await second.host.ended, 0, second.host.output())
  const third = await start(t, env, folder)
  assert.equal((await third.status('talker')).state, 'disabled')
  assert.equal(await third.see('talker'), 503)

  assert.deepEqual(await third.operate('talker', 'enable'), [200, 'running'])
  await until(async () => await first.see('talker') === 'here')
  assert.equal(await third.see('talker'), 'here')

  const { items } = await (await third.admin.get('/api/admin/audit?resource=plugin')).json() as { items: { action: string, actorName: string, detail: object }[] }
  assert.deepEqual(items.map(({ action, actorName, detail }) => [action, actorName, detail]), [
    ['plugin.enable', 'admin', { plugin: 'talker' }], ['plugin.disable', 'admin', { plugin: 'talker', reason: 'it sings' }]
  ])
})

test('a reload is followed by every replica, and one that cannot says so in its health', async (t) => {
  const folders = await Promise.all([temporaryFolder(t), temporaryFolder(t)])
  for (const folder of folders) await writeTalker(folder, 'talker', 'old')
  const env = { DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), VALKEY_URL: process.env['TEST_VALKEY_URL'] ?? '', PLATFORM_MASTER_KEY: 'ab'.repeat(31) + 'cd' }
  const [first, second] = await Promise.all(folders.map(folder => start(t, env, folder))) as [Operated, Operated]
  const health = async (): Promise<string> => (await fetch(`${second.probesUrl}/health`)).text()

  for (const folder of folders) await writeTalker(folder, 'talker', 'new')
  assert.deepEqual(await first.operate('talker', 'reload'), [200, 'running'])
  await until(async () => await second.see('talker') === 'new')
  assert.equal(await health(), 'SERVER_IS_READY')

  await writeTalker(first.folder, 'talker', 'newest')
  await writeFile(join(second.folder, 'talker/word.js'), 'export const word = ')
  assert.deepEqual(await first.operate('talker', 'reload'), [200, 'running'])
  await until(async () => (await health()).includes('talker'))
  assert.match(await health(), /^SERVER_IS_READY\ntalker is not in the state that was set for all replicas: .*word\.js/)
  assert.match((await second.status('talker')).behind ?? '', /word\.js/)
  assert.deepEqual([await first.see('talker'), await second.see('talker')], ['newest', 'new'])

  await writeTalker(second.folder, 'talker', 'newest')
  await until(async () => await second.see('talker') === 'newest')
  await until(async () => await health() === 'SERVER_IS_READY')
})

test('only who may sees and operates plugins, and the start is there as data', async (t) => {
  const { url, admin, operate } = await operated(t)
  assert.equal((await fetch(`${url}/api/plugins`)).status, 401)
  const { token } = await (await admin.post('/api/tokens', { name: 'reader', scopes: ['host:read'] })).json() as { token: string }
  const asReader = (path: string, method = 'GET'): Promise<Response> => fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${token}` } })
  assert.equal((await asReader('/api/plugins')).status, 200)
  assert.equal((await asReader('/api/plugins/notes/reload', 'POST')).status, 403)
  assert.equal((await operate('nobody', 'disable'))[0], 404)

  const { totalMs, units, criticalPath } = await (await asReader('/api/lifecycle')).json() as Lifecycle
  const notes = units.find(({ id }) => id === 'notes')
  assert.deepEqual([notes?.state, units.find(({ id }) => id === 'migrations')?.lastNeed], ['running', 'postgres'])
  assert.ok(totalMs > 0 && criticalPath.includes('postgres'), criticalPath.join())
})

test('npm run plugins asks the host that runs on the same data folder', async (t) => {
  const { env, see, folder, host } = await operated(t, folder => writeTalker(folder, 'talker', 'here'))
  const run = async (...args: string[]): Promise<{ code: number | null, output: string }> => {
    const child = spawn(process.execPath, [join(own, '../core/main.js'), 'plugins', ...args], { env: { PATH: process.env.PATH, ...env } })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { output += chunk.toString() })
    return new Promise(resolve => { child.on('close', code => resolve({ code, output })) })
  }
  const { output } = await run()
  assert.match(output, /^id +version +generation +state +since +needs +routes +tasks +restarts\n/)
  assert.match(output, /talker +1\.0\.0 +1 +running /)

  const off = await run('disable', 'talker', 'it', 'sings')
  assert.match(off.output, /talker .* disabled [^]*why: the console switched it off: it sings/)
  assert.equal(await see('talker'), 503)
  assert.equal((await run('enable', 'talker')).code, 0)
  assert.equal(await see('talker'), 'here')
  await writeTalker(folder, 'talker', 'there')
  assert.match((await run('reload', 'talker')).output, /talker +1\.0\.0 +2 +running/)
  assert.equal(await see('talker'), 'there')

  const failed = await run('reload', 'nobody')
  assert.deepEqual([failed.code, failed.output], [1, 'There is no plugin "nobody".\n'])
  assert.equal((await run('restart', 'talker')).code, 2)
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
  const gone = await run()
  assert.equal(gone.code, 1)
  assert.match(gone.output, /No host runs on the data folder .* Start one with "npm start"/)
})

test('npm run dev loads what is saved, and goes on with what was there when that is broken', async (t) => {
  const folder = await temporaryFolder(t)
  await writeTalker(folder, 'talker', 'one')
  const host = startHost(t, { DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: folder }, ['dev'])
  const { url } = await host.ready()
  const says = async (id: string): Promise<string | number> => {
    const answer = await fetch(`${url}/api/${id}`)
    return answer.ok ? await answer.text() : answer.status
  }
  await host.line(({ msg }) => msg.startsWith('watching'))
  await writeFile(join(folder, 'talker/word.js'), 'export const word = "two"')
  await until(async () => await says('talker') === 'two')
  await writeFile(join(folder, 'talker/word.js'), 'export const word =')
  await host.line(({ msg }) => msg.startsWith('not reloaded') && msg.includes('word.js'))
  assert.equal(await says('talker'), 'two')
  // However an editor saves: in place, by a file moved over it, by removing it first.
  const file = join(folder, 'talker/word.js')
  const ways: ((text: string) => Promise<void>)[] = [
    text => writeFile(file, text),
    async text => { await writeFile(join(folder, 'talker/.word.js.swp'), text); await rename(join(folder, 'talker/.word.js.swp'), file) },
    async text => { await rm(file); await writeFile(file, text) },
    text => writeFile(file, text)
  ]
  for (const [at, save] of ways.entries()) {
    await save(`export const word = 'way ${at}'`)
    await until(async () => await says('talker') === `way ${at}`)
  }
  // A plugin whose first save is wrong is mended by the next.
  await writePlugin(folder, 'fresh', {}, 'throw new Error("not yet")')
  await host.line(({ msg }) => msg.startsWith('not reloaded') && msg.includes('not yet'))
  await writeTalker(folder, 'fresh', 'hello')
  await until(async () => await says('fresh') === 'hello')
  await rm(join(folder, 'fresh'), { recursive: true })
  await until(async () => await says('fresh') === 404)
  // One that is saved before what it requires follows it.
  await writePlugin(folder, 'leans', { requires: { leant: '*' } }, "export default { start ({ routes }) { routes.get('/', { public: 'a test' }, () => 'here') } }")
  await host.line(({ msg }) => msg.includes('"leans" is held') && msg.includes('"leant"'))
  await writeTalker(folder, 'leant', 'hello')
  await until(async () => await says('leans') === 'here')
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})

test('a plugin that tolerates a missing cluster runs, another is held, and both get the reason', async (t) => {
  const { see, status } = await operated(t, async folder => {
    const code = `export default { start ({ routes, kubernetes }) {
      routes.get('/', { public: 'a test' }, () => kubernetes.state)
      routes.get('/call', { public: 'a test' }, () => kubernetes.call(apis => apis.core.listNamespace()))
    } }`
    await writePlugin(folder, 'needs', { resources: ['kubernetes'] }, code)
    await writePlugin(folder, 'tolerates', { resources: ['kubernetes'], tolerates: ['kubernetes'] }, code)
  })
  assert.deepEqual([await see('needs'), await see('tolerates'), await see('tolerates/call')], [503, 'absent', 503])
  assert.match((await status('needs')).reason ?? '', /needs → kubernetes \(KUBECONFIG names no cluster/)
})
