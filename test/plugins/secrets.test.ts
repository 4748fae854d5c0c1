// The plugin secrets on a real host, as curl, another plugin and someone with the database in hand meet it.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { SealBroken } from '../../core/contract/index.ts'
import { createEncryption } from '../../core/encryption/index.ts'
import { registerBulkhead } from '../../core/plugin-runtime/index.ts'
import type { Place } from '../../plugins/secrets/sealed-value.ts'
import { signIn, type Client } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder, type HostProcess } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { undo } from '../support/undo.ts'
import { until } from '../support/until.ts'

registerBulkhead()
const { openValue, sealValue } = await import('../../plugins/secrets/sealed-value.ts')
const { changesProcess } = await import('../../plugins/secrets/process-name.ts')

const password = 'correct horse battery'
const own = join(import.meta.dirname, '../../plugins')

type Json = Record<string, unknown>
interface Answer { readonly status: number, readonly body: Json }

interface House {
  readonly host: HostProcess
  readonly url: string
  readonly project: string
  readonly otherProject: string
  /** As someone with the database in hand. */
  rows (query: string, values?: readonly unknown[]): Promise<Json[]>
  as (name: string): Promise<(method: string, path: string, body?: unknown) => Promise<Answer>>
  addUser (name: string): Promise<string>
  give (user: string, role: string, project?: string): Promise<unknown>
  resolve (text: string, use?: string, projectId?: string | null): Promise<string>
  events (): Promise<{ name: string, payload: Json & { secret: Json } }[]>
}

/** Uses secrets as a plugin that deploys would, and remembers what it hears of them. */
const deployer = `
  import { z } from 'bulkhead'
  const heard = []
  export default { start ({ routes, plugins, events }) {
    for (const name of ['secret.changed', 'secret.deleted']) events.on(name, z.any(), ({ payload }) => { heard.push({ name, payload }) })
    routes.get('/events', { public: 'a test' }, () => heard)
    routes.post('/', { public: 'a test', body: z.object({ projectId: z.uuid().nullable(), use: z.string(), text: z.string() }) },
      async ({ input: { body } }) => ({ text: await plugins.secrets.resolve(body.projectId, body.use, body.text) }))
  } }`

async function openHouse (t: TestContext): Promise<House> {
  const databaseUrl = await createDatabase(t, { migrated: 'plugins' })
  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'deployer', { requires: { secrets: '^1.0.0' } }, deployer)
  const host = startHost(t, {
    DATABASE_URL: databaseUrl, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: password, PLATFORM_PLUGINS_PATH: `${own}:${folder}`,
    // Writers of one secret wait for each other, each with a connection.
    DATABASE_POOL_MAX: '30', DATABASE_ACQUIRE_TIMEOUT_MS: '20000'
  })
  const { url } = await host.ready()
  const operator = new pg.Client(databaseUrl)
  await operator.connect()
  undo(t, () => operator.end())
  const rows: House['rows'] = async (query, values = []) => (await operator.query<Json>(query, [...values])).rows
  const addProject = async (name: string): Promise<string> =>
    String((await rows('insert into projects (name, owner_id) select $1, id from users where name = \'admin\' returning id', [name]))[0]?.id)

  const clients = new Map<string, Promise<Client>>()
  const as: House['as'] = async name => {
    const signing = clients.get(name) ?? signIn(url, name, password)
    clients.set(name, signing)
    const { cookie } = await signing
    return async (method, path, body) => {
      const answer = await fetch(`${url}/api${path}`, {
        method, headers: { cookie, origin: url, ...body === undefined ? {} : { 'content-type': 'application/json' } },
        ...body === undefined ? {} : { body: JSON.stringify(body) }
      })
      const text = await answer.text()
      return { status: answer.status, body: (text === '' ? {} : JSON.parse(text)) as Json }
    }
  }
  return {
    host, url, rows, as,
    project: await addProject('boatyard'),
    otherProject: await addProject('museum'),
    addUser: async name => String((await (await as('admin'))('POST', '/users', { name, email: `${name}@example.org`, password })).body.id),
    give: async (user, role, projectId) => {
      const [{ id } = {}] = await rows('select id from roles where name = $1', [role])
      return (await as('admin'))('POST', `/admin/users/${user}/roles`, { roleId: id, ...projectId === undefined ? {} : { projectId } })
    },
    resolve: async (text, use = 'pipeline', projectId = null) => {
      const answer = await fetch(`${url}/api/deployer`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ projectId, use, text })
      })
      const body = await answer.json() as { text: string, detail: string }
      if (answer.ok) return body.text
      throw new Error(`${answer.status} ${body.detail}`)
    },
    events: async () => await (await fetch(`${url}/api/deployer/events`)).json() as { name: string, payload: Json & { secret: Json } }[]
  }
}

test('secrets on a real host', { concurrency: true }, async (t) => {
  const house = await openHouse(t)
  const { project, otherProject, rows, as, resolve } = house
  const admin = await as('admin')
  const inProject = `/secrets/projects/${project}`
  const reveal = async (path: string, body?: Json): Promise<unknown> => (await admin('POST', `${path}/reveal`, body)).body.value

  await Promise.all([
    t.test('a secret is created, replaced, rolled back, deleted and restored; only revealing shows it', async () => {
      const path = `${inProject}/DEPLOY_KEY`
      const made = await admin('PUT', path, { value: 'first value', scope: 'deploy' })
      assert.equal(made.status, 200)
      const { id, writtenAt, createdAt, writtenBy, ...rest } = made.body
      assert.deepEqual(rest, { projectId: project, name: 'DEPLOY_KEY', scope: 'deploy', version: 1, deletedAt: null })
      assert.ok([id, writtenAt, createdAt, writtenBy].every(value => typeof value === 'string'))
      assert.deepEqual((await admin('GET', path)).body, made.body)

      for (let version = 2; version <= 12; version++) {
        const { body } = await admin('PUT', path, { value: `value ${version}` })
        assert.deepEqual([body.version, body.scope, body.id], [version, 'deploy', id])
      }
      const { items } = (await admin('GET', `${path}/versions`)).body as { items: Json[] }
      assert.deepEqual(items.map(({ version }) => version), [12, 11, 10, 9, 8, 7, 6, 5, 4, 3])
      assert.deepEqual(items.map(({ isCurrent }) => isCurrent), [true, ...Array<boolean>(9).fill(false)])
      assert.deepEqual([await reveal(path), await reveal(path, { version: 3 })], ['value 12', 'value 3'])
      assert.equal((await admin('POST', `${path}/reveal`, { version: 2 })).status, 404)
      assert.deepEqual((await admin('POST', `${path}/rollback`, { to: 3, version: 12 })).body.version, 13)
      assert.equal(await reveal(path), 'value 3')
      assert.equal((await admin('POST', `${path}/rollback`, { to: 13 })).status, 409)

      assert.equal((await admin('DELETE', `${path}?version=12`)).status, 409)
      assert.equal((await admin('DELETE', `${path}?version=13`)).status, 204)
      assert.equal((await admin('DELETE', path)).status, 404)
      assert.equal((await admin('POST', `${path}/reveal`)).status, 404)
      assert.equal((await admin('POST', `${path}/rollback`, { to: 12 })).status, 404)
      const names = async (query = ''): Promise<unknown[]> => ((await admin('GET', `${inProject}${query}`)).body.items as Json[]).map(({ name }) => name)
      assert.ok(!(await names()).includes('DEPLOY_KEY'))
      assert.ok((await names('?deleted=true')).includes('DEPLOY_KEY'))
      assert.ok((await admin('GET', path)).body.deletedAt)
      assert.equal((await admin('POST', `${path}/undelete`)).body.deletedAt, null)
      assert.equal((await admin('POST', `${path}/undelete`)).status, 409)
      assert.equal(await reveal(path), 'value 3')
      await admin('DELETE', path)
      assert.deepEqual([(await admin('PUT', path, { value: 'again', version: 0 })).body.version, await reveal(path)], [14, 'again'])

      // Everything is told, in the order it was done, and no value is anywhere but in its envelope.
      await until(async () => (await house.events()).filter(({ payload }) => payload.secret.id === id).length === 17)
      const told = (await house.events()).filter(({ payload }) => payload.secret.id === id)
      assert.deepEqual(told.map(({ name, payload }) => `${name} ${String(payload.change)} ${String(payload.secret.version)}`), [
        'secret.changed create 1', ...Array.from({ length: 11 }, (_, at) => `secret.changed replace ${at + 2}`), 'secret.changed rollback 13',
        'secret.deleted delete 13', 'secret.changed undelete 13', 'secret.deleted delete 13', 'secret.changed replace 14'
      ])
      const { at, ...first } = told[0]?.payload as Json
      const [owner] = await rows('select id from users where name = \'admin\'')
      assert.deepEqual(first, {
        actor: { id: owner?.id, name: 'admin' }, project: { id: project, name: 'boatyard', ownerId: owner?.id }, change: 'create',
        secret: { id, name: 'DEPLOY_KEY', scope: 'deploy', version: 1 }
      })
      assert.ok(typeof at === 'string' && at.endsWith('Z'))
      const log = await rows('select action, project_id, detail, host(ip_addr) as address from audit_log where resource_id = $1 order by created_at', [id])
      assert.equal(log.length, 17 + 5)
      assert.deepEqual(log.at(-1), { action: 'secret.reveal', project_id: project, detail: { name: 'DEPLOY_KEY', scope: 'deploy', version: 14 }, address: '127.0.0.1' })
      const everything = JSON.stringify([told, log, await rows('select * from secrets.version')]) + house.host.output()
      for (const value of ['first value', 'value 12', 'value 3', 'again']) assert.ok(!everything.includes(`"${value}"`), value)
    }),

    t.test('of writers that saw the same version exactly one wins, and the others learn its number', async () => {
      const path = '/secrets/global/CONTESTED'
      const race = (body: (at: number) => Json): Promise<Answer[]> => Promise.all(Array.from({ length: 20 }, (_, at) => admin('PUT', path, body(at))))
      const outcome = (answers: readonly Answer[]): Json => ({ ...Object.groupBy(answers.map(({ status }) => status), status => String(status)) })

      const created = await race(at => ({ value: `of ${at}`, version: 0 }))
      assert.deepEqual(outcome(created), { 200: [200], 409: Array(19).fill(409) })
      assert.equal(await reveal(path), `of ${created.findIndex(({ status }) => status === 200)}`)

      const replaced = await race(at => ({ value: `then of ${at}`, version: 1 }))
      assert.deepEqual(outcome(replaced), { 200: [200], 409: Array(19).fill(409) })
      assert.equal(await reveal(path), `then of ${replaced.findIndex(({ status }) => status === 200)}`)
      const { body } = replaced.find(({ status }) => status === 409) ?? {}
      assert.deepEqual([body?.detail, body?.errors], [
        'The secret "CONTESTED" is at version 2, not 1.', [{ path: 'version', message: 'The current version is 2.' }]
      ])

      // Who does not say which version they have seen is not refused: all are written, one after the other, the first maker included.
      const free = await Promise.all(Array.from({ length: 20 }, (_, at) => admin('PUT', '/secrets/global/FREE_FOR_ALL', { value: String(at) })))
      assert.deepEqual(free.map(({ body }) => body.version).sort((a, b) => Number(a) - Number(b)), Array.from({ length: 20 }, (_, at) => at + 1))
    }),

    t.test('a user who may see a secret may not write or read it; outside the project it is hidden', async () => {
      const path = `${inProject}/GUARDED`
      await admin('PUT', path, { value: 'hidden' })
      const [reader, member, stranger] = await Promise.all(['reader', 'member', 'stranger'].map(name => house.addUser(name))) as [string, string, string]
      await house.give(reader, 'developer')
      await house.give(member, 'ops', project)
      await house.give(stranger, 'agent')
      const asked = async (name: string, paths: readonly string[]): Promise<number[][]> => {
        const ask = await as(name)
        return Promise.all(paths.map(async path => [
          (await ask('GET', path)).status, (await ask('PUT', path, { value: 'x' })).status, (await ask('DELETE', path)).status, (await ask('POST', `${path}/reveal`)).status
        ]))
      }
      const paths = [path, `/secrets/projects/${otherProject}/NONE`, '/secrets/global/NONE']
      assert.deepEqual(await asked('reader', paths), [[200, 403, 403, 403], [404, 403, 403, 403], [404, 403, 403, 403]])
      assert.deepEqual(await asked('member', paths), [[200, 403, 403, 403], [404, 404, 404, 404], [403, 403, 403, 403]])
      assert.deepEqual(await asked('stranger', paths), [[404, 404, 404, 404], [404, 404, 404, 404], [403, 403, 403, 403]])
      assert.equal(await reveal(path), 'hidden')

      // No project, and one that was deleted.
      const gone = String((await rows('insert into projects (name, owner_id, is_active) select \'gone\', id, false from users where name = \'admin\' returning id'))[0]?.id)
      for (const id of [gone, '0192f0c1-2a3b-7c4d-8e5f-60718293a4b5']) {
        assert.deepEqual((await Promise.all([
          admin('GET', `/secrets/projects/${id}`), admin('PUT', `/secrets/projects/${id}/X`, { value: 'x' })
        ])).map(({ status }) => status), [404, 404])
      }
    }),

    t.test('names, values and versions that cannot be are refused, with what is wrong', async () => {
      const put = async (name: string, body: Json): Promise<unknown> => {
        const answer = await admin('PUT', `/secrets/global/${name}`, body)
        return answer.status === 422 ? (answer.body.errors as { path: string }[]).map(({ path }) => path) : answer.status
      }
      for (const name of ['9LIVES', 'A-B', 'A%20B', 'x'.repeat(129), 'é']) assert.deepEqual(await put(encodeURI(decodeURI(name)), { value: 'x' }), ['params.name'], name)
      assert.equal(await put('x'.repeat(128), { value: 'x' }), 200)
      for (const [body, wrong] of [
        [{}, 'value'], [{ value: '' }, 'value'], [{ value: 'é'.repeat(32_769) }, 'value'], [{ value: 'a\u0000b' }, 'value'], [{ value: '\ud800' }, 'value'],
        [{ value: 'not base64!', encoding: 'base64' }, 'value'], [{ value: Buffer.alloc(65_537).toString('base64'), encoding: 'base64' }, 'value'],
        [{ value: 'x', scope: 'everyone' }, 'scope'], [{ value: 'x', version: -1 }, 'version'], [{ value: 'x', version: 1.5 }, 'version'], [{ value: 'x', note: 'y' }, 'note']
      ] as const) assert.deepEqual(await put('FORM', body), [`body.${wrong}`], JSON.stringify(body).slice(0, 80))
      assert.equal((await admin('GET', '/secrets/global/FORM')).status, 404)

      assert.equal(await put('FORM', { value: 'é'.repeat(32_768) }), 200)
      const bytes = Buffer.from(Uint8Array.from({ length: 65_536 }, (_, at) => at)).toString('base64')
      assert.equal(await put('FORM', { value: bytes, encoding: 'base64' }), 200)
      const { body } = await admin('POST', '/secrets/global/FORM/reveal')
      assert.deepEqual([body.encoding, body.value === bytes], ['base64', true])

      for (const scope of ['agent', 'all']) assert.deepEqual(await put('Ld_Preload', { value: 'x', scope }), ['body.scope'])
      assert.equal(await put('Ld_Preload', { value: 'x', scope: 'deploy' }), 200)
      // The scope that it has counts, where none is named.
      assert.equal(await put('KUBECONFIG', { value: 'x', scope: 'pipeline' }), 200)
      assert.deepEqual(await put('KUBECONFIG', { value: 'x', scope: 'all' }), ['body.scope'])
    }),

    t.test('references are resolved by use, the project before the platform; failures are all named', async () => {
      for (const [path, body] of [
        ['/secrets/global/SHADOWED', { value: 'of the platform', scope: 'all' }], [`${inProject}/SHADOWED`, { value: 'of the project', scope: 'all' }],
        ['/secrets/global/SHARED', { value: '$& ${{ secrets.SHADOWED }} $1', scope: 'all' }], [`${inProject}/BUILD_ONLY`, { value: 'x', scope: 'pipeline' }],
        ['/secrets/global/BUILD_ONLY', { value: 'y', scope: 'all' }], [`${inProject}/DROPPED`, { value: 'x', scope: 'all' }],
        ['/secrets/global/BYTES', { value: 'AAH/', encoding: 'base64', scope: 'all' }], ['/secrets/global/PATH', { value: '/evil', scope: 'pipeline' }]
      ] as const) assert.equal((await admin('PUT', path, body)).status, 200, path)

      assert.equal(await resolve('a ${{ secrets.SHADOWED }}, b ${{secrets.SHARED}}${{  secrets.BYTES  }} ${{ env.HOME }} $ {{ }}', 'deploy', project),
        'a of the project, b $& ${{ secrets.SHADOWED }} $1AAH/ ${{ env.HOME }} $ {{ }}')
      assert.deepEqual([await resolve('${{ secrets.SHADOWED }}'), await resolve('${{ secrets.SHADOWED }}', 'agent', otherProject)], Array(2).fill('of the platform'))
      assert.equal(await resolve('nothing to do'), 'nothing to do')

      // A secret of the project that was deleted is none, now as after it is purged; one that is for another use stands before the platform's.
      await admin('DELETE', `${inProject}/SHADOWED`)
      assert.equal(await resolve('${{ secrets.SHADOWED }}', 'deploy', project), 'of the platform')
      await admin('DELETE', `${inProject}/DROPPED`)
      await assert.rejects(resolve('${{ secrets.MISSING }} ${{ secrets.DROPPED }} ${{ secrets.BUILD_ONLY }} ${{ secrets.SHARED }}', 'deploy', project), {
        message: '422 There is no secret "MISSING". The secret "DROPPED" was deleted. The secret "BUILD_ONLY" has the scope "pipeline" and is not for "deploy".'
      })
      for (const text of ['${{ secrets.A-B }}', '${{ secrets }}', '${{ Secrets.SHARED }}', '${{ secrets.SHARED', '${{ x || secrets.SHARED }}', "${{ secrets['SHARED'] }}", '${{ ${{ secrets.SHARED }} }}']) {
        await assert.rejects(resolve(text), { message: /^422 "\$\{\{.* is no reference to a secret: write \$\{\{ secrets\.NAME \}\}/ }, text)
      }
      await assert.rejects(resolve('${{ secrets.PATH }}', 'agent'), { message: /422 The secret "PATH" changes how a process runs/ })
      assert.equal(await resolve('${{ secrets.PATH }}'), '/evil')
      await assert.rejects(resolve('${{ secrets.SHARED }}', 'all'), { message: /^500/ })
      await assert.rejects(resolve('x', 'pipeline', '0192f0c1-2a3b-7c4d-8e5f-60718293a4b5'), { message: '404 There is no such project.' })
    }),

    t.test('what was deleted long ago is gone for good, with its versions, and its name is free', async () => {
      const paths = ['OLD', 'RECENT', 'BACK', 'LIVE'].map(name => `/secrets/global/${name}`) as [string, string, string, string]
      for (const path of paths) for (const value of ['one', 'two']) await admin('PUT', path, { value })
      for (const path of paths.slice(0, 3)) await admin('DELETE', path)
      const age = 'update secrets.deletion d set deleted_at = now() - interval \'31 days\' from secrets s where s.id = d.secret_id and s.name = any($1)'
      await rows(age, [['OLD', 'BACK']])
      await admin('POST', `${paths[2]}/undelete`)
      assert.equal((await admin('POST', '/tasks/run', { task: 'secrets/purge' })).status, 200)
      await until(async () => (await admin('GET', paths[0])).status === 404)
      assert.deepEqual(await Promise.all(paths.slice(1).map(async path => (await admin('GET', path)).status)), [200, 200, 200])
      assert.equal((await admin('PUT', paths[0], { value: 'another' })).body.version, 1)
      assert.equal((await admin('POST', `${paths[0]}/rollback`, { to: 2 })).status, 404)
    }),

    t.test('what someone exchanges in the database is refused, and told in the log', async () => {
      const [one, two] = [`${inProject}/SWAP_ONE`, `/secrets/projects/${otherProject}/SWAP_ONE`]
      for (const value of ['old', 'new']) for (const path of [one, two]) await admin('PUT', path, { value, scope: 'deploy' })
      const ids = await rows('select id, project_id, encrypted_value, version from secrets where name = \'SWAP_ONE\' order by project_id = $1 desc', [project])
      const [mine, theirs] = ids as [Json, Json]
      const [{ encrypted_value: replayed } = {}] = await rows('select encrypted_value from secrets.version where secret_id = $1 and version = 1', [mine.id])
      const tampered = async (set: string, values: readonly unknown[], mend: string, mended: readonly unknown[]): Promise<void> => {
        await rows(`update secrets set ${set} where id = $1`, [mine.id, ...values])
        const name = set.startsWith('name') ? 'SWAP_TWO' : 'SWAP_ONE'
        assert.equal((await admin('POST', `${inProject}/${name}/reveal`)).status, 500, set)
        await assert.rejects(resolve(`\${{ secrets.${name} }}`, 'deploy', project), { message: /^500/ }, set)
        await rows(`update secrets set ${mend} where id = $1`, [mine.id, ...mended])
        assert.equal(await reveal(one), 'new', set)
      }
      const whole = 'encrypted_value = $2'
      await tampered(whole, [theirs.encrypted_value], whole, [mine.encrypted_value])
      await tampered(whole, [replayed], whole, [mine.encrypted_value])
      await tampered(whole, [(mine.encrypted_value as Buffer).subarray(0, -1)], whole, [mine.encrypted_value])
      await tampered('name = $2', ['SWAP_TWO'], 'name = $2', ['SWAP_ONE'])
      await tampered('scope = $2', ['all'], 'scope = $2', ['deploy'])
      // As a version of another secret, or another version of the same.
      await rows('update secrets.version set encrypted_value = $2 where secret_id = $1 and version = 1', [mine.id, mine.encrypted_value])
      assert.equal((await admin('POST', `${one}/reveal`, { version: 1 })).status, 500)
      assert.equal((await admin('POST', `${one}/rollback`, { to: 1 })).status, 500)
      assert.equal((await admin('GET', one)).body.version, 2)
      assert.ok(house.host.lines().some(line => JSON.stringify(line).includes('Version 2 of the secret \\"SWAP_ONE\\"')))
    })
  ])

  // Another generation says what the plugin keeps while the last one still does, and others reach it.
  assert.equal((await admin('POST', '/plugins/secrets/reload')).status, 200)
  assert.equal(await resolve('${{ secrets.SHADOWED }}', 'deploy', otherProject), 'of the platform')
})

test('a sealed value with any bit flipped, cut anywhere, or of another place is refused', () => {
  const encryption = createEncryption({ key: Buffer.alloc(32, 3), previous: undefined }).scoped('secrets')
  const place: Place = { id: 'an id', projectId: 'a project', name: 'NAME', scope: 'deploy', version: 7 }
  const value = { encoding: 'text', value: 'a value' } as const
  const envelope = sealValue(encryption, value, place)
  assert.deepEqual(openValue(encryption, envelope, place), value)
  for (let bit = 0; bit < envelope.length * 8; bit++) {
    const changed = Buffer.from(envelope)
    changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    assert.throws(() => openValue(encryption, changed, place), SealBroken, `bit ${bit}`)
  }
  for (let length = 0; length < envelope.length; length++) assert.throws(() => openValue(encryption, envelope.subarray(0, length), place), SealBroken)
  const others: Partial<Place>[] = [{ id: 'another' }, { projectId: 'another' }, { projectId: null }, { name: 'OTHER' }, { scope: 'all' }, { version: 6 }]
  for (const other of others) {
    assert.throws(() => openValue(encryption, envelope, { ...place, ...other }), { name: 'SealBroken', message: /of the secret "/ }, JSON.stringify(other))
  }
})

test('a name that changes how a process runs is known in any case, and ordinary names are not', () => {
  for (const name of [
    'PATH', 'path', 'LD_PRELOAD', 'ld_library_path', 'LD_AUDIT', 'DYLD_INSERT_LIBRARIES', 'NODE_OPTIONS', 'BASH_ENV', 'ENV', 'IFS', 'PS4', 'PROMPT_COMMAND', 'PYTHONPATH',
    'PythonStartup', 'PERL5OPT', 'RUBYOPT', 'GIT_SSH_COMMAND', 'GIT_CONFIG_COUNT', 'GIT_CONFIG_KEY_0', 'JAVA_TOOL_OPTIONS', 'npm_config_script_shell', 'https_proxy', 'SSL_CERT_FILE',
    'GCONV_PATH', 'OPENSSL_CONF', 'HOME', 'EDITOR', 'RUSTC_WRAPPER', 'GOFLAGS', 'DOTNET_STARTUP_HOOKS', 'KUBECONFIG', 'PLATFORM_MASTER_KEY', 'BASH_FUNC_ls'
  ]) assert.equal(changesProcess(name), true, name)
  for (const name of [
    'NPM_TOKEN', 'NODE_AUTH_TOKEN', 'GITHUB_TOKEN', 'GIT_TOKEN', 'git_password', 'DATABASE_URL', 'AWS_SECRET_ACCESS_KEY', 'SSH_PRIVATE_KEY', 'CARGO_REGISTRY_TOKEN',
    'DEPLOY_PATH', 'API_KEY', 'SLACK_WEBHOOK', 'PASSWORD', 'YARN_NPM_AUTH_TOKEN', 'LDAP_PASSWORD', 'HOMEPAGE_KEY'
  ]) assert.equal(changesProcess(name), false, name)
})
