// Three hosts on one database and one Valkey: whatever someone loses on one of them, all of them refuse a second later, also while Valkey is away.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { hash } from 'argon2'
import { signIn, type Client } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder, withCheapHashes } from '../support/host.ts'
import { freePort } from '../support/process.ts'
import { startProxy, type Proxy } from '../support/proxy.ts'
import { undo } from '../support/undo.ts'
import { startValkeyServer } from '../support/valkey-server.ts'
import { openOperator, writeHarbour, type Operator } from './harbour-fixture.ts'

const root = join(import.meta.dirname, '../..')
const adminPassword = 'correct horse battery'
const password = 'a long password'
const cheapHash = await hash(password, { memoryCost: 64, timeCost: 1, parallelism: 1 })
/** What the README promises. */
const seenWithinMs = 1_000
const everyMs = 40
const seenAtAllMs = 15_000

interface House { urls: readonly string[], valkey: Proxy, operator: Operator, project: string, developer: string }

async function openHouse (t: TestContext): Promise<House> {
  const DATABASE_URL = await createDatabase(t, { migrated: 'plugins' })
  const port = await freePort()
  const server = await startValkeyServer(port)
  undo(t, () => server.stop())
  const valkey = await startProxy(t, port)
  const plugins = await temporaryFolder(t)
  await writeHarbour(plugins)
  const start = async (): Promise<string> => {
    const host = startHost(t, {
      DATABASE_URL, VALKEY_URL: `redis://127.0.0.1:${valkey.port}`, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: adminPassword,
      PLATFORM_PLUGINS_PATH: `${join(root, 'plugins')}:${plugins}`, PLATFORM_MASTER_KEY: '0123456789abcdef'.repeat(4), ...withCheapHashes
    })
    return (await host.ready()).url
  }
  const urls = [await start(), ...await Promise.all([start(), start()])]
  const operator = await openOperator(t, DATABASE_URL)
  const [role] = await operator.rows('select id from roles where name = \'developer\'')
  return { urls, valkey, operator, project: await operator.addProject('boatyard'), developer: String(role?.id) }
}

type Body = Record<string, unknown> & { id: string, items: { id: string, isCurrent: boolean }[], token: string }
async function done (answer: Promise<Response>): Promise<Body> {
  const { status } = await answer
  const text = await (await answer).text()
  assert.ok(status < 300, `${status}: ${text}`)
  return (text === '' ? {} : JSON.parse(text)) as Body
}

/** Something that someone may do, and how they lose it: gives the moment from which it is lost. */
interface Loss {
  readonly name: string
  readonly headers: Record<string, string>
  readonly path: string
  lose (): Promise<number>
}

let cast = 0

/** Everyone of a round is new, so that nothing of one before it is known anywhere. */
async function prepare ({ urls, operator, project, developer }: House, admins: readonly Client[], round: number): Promise<Loss[]> {
  const [here = '', there = ''] = [0, 1].map(step => urls[(round + step) % urls.length])
  const admin = admins[round % urls.length] as Client
  const add = async (): Promise<Named> => {
    const name = `user-${++cast}`
    // Not over the API: fifty hashes of the real cost are not what is tested.
    const [row] = await operator.rows('insert into users (name, email, password_hash) values ($1, $2, $3) returning id', [name, `${name}@localhost`, cheapHash])
    return { name, id: String(row?.id) }
  }
  const [worker, member, lender, borrower, leaver, changer] = await Promise.all([add(), add(), add(), add(), add(), add()])
  const own = await done(admin.post('/api/admin/roles', { name: `role-${round}` }))
  const setPermissions = (permissions: string[]): Promise<Response> => fetch(`${here}/api/admin/roles/${own.id}/permissions`, {
    method: 'PUT', headers: { cookie: admin.cookie, origin: here, 'content-type': 'application/json' }, body: JSON.stringify({ permissions })
  })
  await done(setPermissions(['boat:see', 'boat:sail']))
  const give = ({ id }: Named, roleId: string, projectId?: string): Promise<Body> => done(admin.post(`/api/admin/users/${id}/roles`, { roleId, projectId }))
  await Promise.all([give(worker, developer, project), give(member, own.id), ...[lender, leaver, changer].map(user => give(user, developer))])

  const as = ({ name }: Named): Promise<Client> => signIn(there, name, password)
  const [asWorker, asMember, asLender, asBorrower, asLeaver, changing, changed] = await Promise.all(
    [as(worker), as(member), as(lender), as(borrower), as(leaver), as(changer), as(changer)])
  const token = await done(asLender.post('/api/tokens', { name: 'ci' }))
  const lentAway = await done(asLender.post('/api/admin/delegations', { delegateId: borrower.id, permission: 'boat:sail', projectId: project }))
  const lend = (more: object = {}): Promise<Body> =>
    done(asLender.post('/api/admin/delegations', { delegateId: borrower.id, permission: 'note:write', ...more }))
  const lent = await lend()
  await done(asMember.post('/api/admin/delegations', { delegateId: borrower.id, permission: 'boat:see', projectId: project }))
  const ended = (await done(asLender.get('/api/auth/sessions'))).items[0]?.id ?? ''

  const at = async (answer: Promise<Response>): Promise<number> => { await done(answer); return Date.now() }
  const boats = `/api/harbour/in/${project}`
  // What the lender does by the session that is ended last: nothing of it may come after that.
  const [revoked, lentAgain, tokenGone] = [Promise.withResolvers(), Promise.withResolvers(), Promise.withResolvers()]
  const thenTell = async (answer: Promise<number>, told: PromiseWithResolvers<unknown>): Promise<number> =>
    answer.finally(() => told.resolve(undefined))
  const loss = (name: string, { cookie }: Client, path: string, lose: () => Promise<number>): Loss => ({ name, headers: { cookie }, path, lose })
  return [
    loss('a role in a project, taken away', asWorker, boats, () =>
      at(admin.delete(`/api/admin/users/${worker.id}/roles/${developer}?projectId=${project}`))),
    loss('a permission, taken from a role', asMember, boats, () => at(setPermissions([]))),
    // The same change: what the member lent on is lost with it.
    loss('a delegation, whose delegator loses the permission', asBorrower, boats, () => at(setPermissions([]))),
    loss('a delegation, revoked', asBorrower, `/api/harbour/may/${project}`, () =>
      thenTell(at(asLender.delete(`/api/admin/delegations/${lentAway.id}`)), revoked)),
    loss('a delegation, past its time', asBorrower, '/api/auth/me', async () => {
      await done(asLender.delete(`/api/admin/delegations/${lent.id}`))
      const expiresMs = Date.now() + 4_000
      return thenTell(lend({ expiresAt: new Date(expiresMs).toISOString() }).then(() => expiresMs), lentAgain)
    }),
    loss('a user, made inactive', asLeaver, boats, () => at(admin.delete(`/api/users/${leaver.id}`))),
    loss('a session, ended by a new password', changed, boats, () =>
      at(changing.patch(`/api/users/${changer.id}`, { password: 'another password', currentPassword: password }))),
    { name: 'a token, revoked', headers: { authorization: `Bearer ${token.token}` }, path: boats, lose: () => thenTell(at(asLender.delete(`/api/tokens/${token.id}`)), tokenGone) },
    loss('a session, ended', asLender, boats, async () => {
      await Promise.all([revoked, lentAgain, tokenGone].map(told => told.promise))
      return at(asLender.delete(`/api/auth/sessions/${ended}`))
    })
  ]
}
interface Named { readonly name: string, readonly id: string }

/** What the answer to a loss's request says. */
async function isAllowed (answer: Response): Promise<boolean> {
  const body = await answer.json() as { sail?: boolean, permissions?: string[] }
  assert.ok([200, 401, 403, 404].includes(answer.status), `${answer.status}: ${JSON.stringify(body)}`)
  return answer.status === 200 && (body.sail ?? body.permissions?.includes('note:write') ?? true)
}

/** Asks every host all the time, from before the loss until after its second. */
async function watch ({ urls }: House, { name, headers, path, lose }: Loss, seenByAll: (own: Promise<void>) => Promise<void>): Promise<string[]> {
  const seen: { host: number, startedMs: number, allowed: boolean }[] = []
  const controller = { isOver: false }
  const asking = urls.map(async (url, host) => {
    while (!controller.isOver) {
      const startedMs = Date.now()
      seen.push({ host, startedMs, allowed: await isAllowed(await fetch(`${url}${path}`, { headers })) })
      await sleep(everyMs)
    }
  })
  const failed = Promise.all(asking)
  const untilSeen = async (what: string, holds: (host: number) => boolean): Promise<void> => {
    const endMs = Date.now() + seenAtAllMs
    while (!urls.every((_, host) => holds(host))) {
      if (Date.now() > endMs) throw new Error(`${name}: ${what} was not seen on every host within ${seenAtAllMs} ms`)
      await Promise.race([failed, sleep(everyMs)])
    }
  }
  let lostMs = Infinity
  try {
    // One loss may bring another with it, which has to be seen allowed before.
    await seenByAll(untilSeen('that it is allowed', host => seen.some(sample => sample.host === host && sample.allowed)))
    lostMs = await lose()
    await untilSeen('an answer after the loss', host => seen.some(sample => sample.host === host && sample.startedMs >= lostMs + seenWithinMs))
  } finally {
    controller.isOver = true
    await failed
  }
  return seen.filter(({ startedMs, allowed }) => allowed && startedMs >= lostMs + seenWithinMs)
    .map(({ host, startedMs }) => `${name}: host ${host} still allowed it ${startedMs - lostMs} ms later`)
}

const weathers: Record<string, (valkey: Proxy) => void> = {
  'with Valkey': () => undefined,
  'while nothing passes to Valkey': valkey => { valkey.hold() },
  'while the connections to Valkey break': valkey => { valkey.reset() }
}

test('what is lost on one host is refused by all three a second later, with Valkey and without', async (t) => {
  const house = await openHouse(t)
  const admins = await Promise.all(house.urls.map(url => signIn(url, 'admin', adminPassword)))
  const rounds = process.env.BULKHEAD_LONG === undefined ? 2 : 200
  for (let round = 0; round < rounds; round++) {
    const [weather = '', begin] = Object.entries(weathers)[round % 3] ?? []
    const losses = await prepare(house, admins, round)
    begin?.(house.valkey)
    const seen: Promise<void>[] = []
    const allBegun = Promise.withResolvers<undefined>()
    const seenByAll = async (own: Promise<void>): Promise<void> => {
      if (seen.push(own) === losses.length) allBegun.resolve(undefined)
      await allBegun.promise
      await Promise.all(seen)
    }
    const late = (await Promise.all(losses.map(loss => watch(house, loss, seenByAll)))).flat()
    house.valkey.pass()
    assert.deepEqual(late, [], `round ${round}, ${weather}`)
  }
})
