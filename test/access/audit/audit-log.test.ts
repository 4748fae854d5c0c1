// The audit log: what plugins write, what is found, and that nothing of it changes.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type pg from 'pg'
import { createApiToken, createLinkToken, createSessionToken } from '../../../core/access/credential/token.ts'
import { prepareAccess } from '../../../core/access/index.ts'
import { Forbidden, sql, Unauthorized, z } from '../../../core/contract/index.ts'
import { hostSets, migrateAll } from '../../../core/resources/migrations/migrations.ts'
import { createOwnedDatabase } from '../../support/owned-database.ts'
import { clock, createLog } from '../../support/part.ts'
import { openTestPostgres } from '../../support/postgres.ts'
import { addProject, adminPassword, openHouse, origin, signIn, signInAs } from '../fixture.ts'

test('an entry is there when its transaction is, and not when that was rolled back', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const { audit } = room.access
  const id = randomUUID()
  await house.postgres.transaction(tx => audit.record(tx, {
    actor: user, action: 'invoice.pay', resource: 'invoice', resourceId: id, detail: { amount: 7 }, origin: { address: '::ffff:192.0.2.1' }
  }))
  await assert.rejects(house.postgres.transaction(async (tx) => {
    await audit.record(tx, { actor: undefined, action: 'invoice.lose', resource: 'invoice' })
    throw new Error('no')
  }), /no/)
  const { items, total } = await audit.find(user, { resource: 'invoice' }, { limit: 10, offset: 0 })
  assert.equal(total, 1)
  assert.deepEqual({ ...items[0], id, createdAt: '' }, {
    id, createdAt: '', actorId: user.id, actorName: 'admin', action: 'invoice.pay', resource: 'invoice', resourceId: id, projectId: null, detail: { amount: 7 }, address: '::ffff:192.0.2.1',
    plugin: null, isByPlugin: false
  })
})

test('an audit entry masks a token; a malformed action or resource or a long detail is refused', async (t) => {
  const house = await openHouse(t)
  const { access: { audit } } = await house.openRoom()
  const token = createApiToken()
  const record = (parts: object): Promise<void> =>
    house.postgres.transaction(tx => audit.record(tx, { actor: undefined, action: 'thing.do', resource: 'thing', ...parts }))
  await record({ detail: { typed: `it is ${token}, I think` } })
  const [row] = await house.rows('select actor_name, detail from audit_log')
  assert.deepEqual([row?.actor_name, row?.detail], ['host', { typed: 'it is [secret], I think' }])
  for (const bad of [{ action: 'Thing.Do' }, { action: 'do' }, { resource: 'a thing' }, { detail: { text: 'x'.repeat(17_000) } }]) {
    await assert.rejects(record(bad), TypeError)
  }
})

test('a token typed as a name is masked in the log and in sessions, in any spelling', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const hex = 'ab01'.repeat(16)
  const spellings = [
    createApiToken(), createApiToken().toUpperCase(), createSessionToken(), createLinkToken(), `plat_${hex}`, ` plat_api_${hex}ffffffff!`, `x${createApiToken()}y`,
    `${'n'.repeat(230)} ${createApiToken()}`, `https://host/?t=plat%5Fapi%5f${hex}`, createApiToken().slice(0, 40), `Plat_Other_${hex}`, `${createApiToken()} ${createSessionToken()}`
  ]
  const { user } = await signIn(room)
  for (const [at, name] of spellings.entries()) {
    const from = { address: `198.51.100.${at}`, userAgent: name }
    await assert.rejects(room.access.login({ name, password: 'a wrong password' }, from), Unauthorized)
    room.noteRefused({ ...user, name }, { plugin: 'x', method: 'GET', route: '/api/x', status: 403, reason: `not "${name}"`, requestId: name, address: undefined })
  }
  await room.access.login({ name: 'admin', password: adminPassword }, { ...origin, userAgent: createApiToken() })
  await room.close()
  const rows = await house.rows(`
    select actor_name || ' ' || coalesce(detail::text, '') as text from audit_log union all select user_agent from auth_sessions
  `)
  assert.equal(rows.length, 2 * spellings.length + 4)
  for (const { text } of rows) assert.doesNotMatch(String(text), /[0-9a-f]{16}/i)
  assert.equal(rows.filter(({ text }) => String(text).includes('[secret]')).length, 2 * spellings.length + 1)
})

test('each filter narrows, and pages go newest first', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const boat = await addProject(house, 'boat')
  const [ada, thing] = [randomUUID(), randomUUID()]
  await house.rows(`insert into audit_log (actor_id, actor_name, action, resource, resource_id, project_id, created_at) values
    ($1, 'ada', 'thing.make', 'thing', $2, $3, '2025-01-01T00:00:00Z'), ($1, 'ada', 'thing.break', 'thing', $2, null, '2025-01-02T00:00:00Z'),
    ($4, 'bob', 'thing.make', 'gadget', null, $3, '2025-01-03T00:00:00Z')`, [ada, thing, boat, randomUUID()])
  const find = async (filter: object, page = { limit: 50, offset: 0 }): Promise<string> => {
    const { items, total } = await room.access.audit.find(user, { to: '2025-06-01T00:00:00Z', ...filter }, page)
    return `${items.map(({ createdAt }) => createdAt.slice(8, 10)).join(' ')} of ${total}`
  }
  assert.equal(await find({}), '03 02 01 of 3')
  assert.equal(await find({}, { limit: 1, offset: 1 }), '02 of 3')
  assert.equal(await find({ actorId: ada }), '02 01 of 2')
  assert.equal(await find({ action: 'thing.make' }), '03 01 of 2')
  assert.equal(await find({ resource: 'gadget' }), '03 of 1')
  assert.equal(await find({ resourceId: thing }), '02 01 of 2')
  assert.equal(await find({ projectId: boat }), '03 01 of 2')
  assert.equal(await find({ from: '2025-01-02T00:00:00Z', to: '2025-01-03T00:00:00Z' }), '02 of 1')
  assert.equal(await find({ actorId: ada, projectId: boat }), '01 of 1')
  assert.equal(await find({ action: 'thing.%' }), ' of 0')
})

test('it is read with admin:users only', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await house.addUser('ada')
  const { user } = await signInAs(room, 'ada')
  await assert.rejects(room.access.audit.find(user, {}, { limit: 1, offset: 0 }), Forbidden)
})

async function openOwnedDatabase (t: TestContext): Promise<{ url: string, client: pg.Client }> {
  const database = await createOwnedDatabase(t)
  await migrateAll({ url: database.url, sets: hostSets(new URL('../../..', import.meta.url).pathname), log: createLog(), clock })
  return database
}

test('the host\'s role can only append to the audit log, also after another start', async (t) => {
  const { url, client } = await openOwnedDatabase(t)
  const { postgres } = await openTestPostgres(t, { url })
  for (const start of ['first', 'second']) {
    await prepareAccess(postgres)
    await client.query('insert into audit_log (actor_id, actor_name, action, resource) values (gen_random_uuid(), \'ada\', \'a.b\', \'x\')')
    for (const statement of [
      'update audit_log set actor_name = \'eve\'', 'update audit_log set project_id = null, actor_name = \'eve\'', 'delete from audit_log', 'truncate audit_log',
      'update audit_log set created_at = now()', 'merge into audit_log using (select 1) as one on true when matched then delete'
    ]) await assert.rejects(client.query(statement), /permission denied|MERGE/, `${statement} (${start} start)`)
  }
  const { rows } = await client.query<{ actor_name: string }>('select actor_name from audit_log')
  assert.deepEqual(rows, [{ actor_name: 'ada' }, { actor_name: 'ada' }])
})

test('which plugin wrote an entry is changed and deleted as little as the entry', async (t) => {
  const { url, client } = await openOwnedDatabase(t)
  const { postgres } = await openTestPostgres(t, { url })
  for (const start of ['first', 'second']) {
    await prepareAccess(postgres)
    await client.query('insert into bulkhead.audit_source (audit_id, plugin, is_by_plugin) values (gen_random_uuid(), \'invoices\', false)')
    for (const statement of [
      'update bulkhead.audit_source set plugin = \'other\'', 'delete from bulkhead.audit_source', 'truncate bulkhead.audit_source'
    ]) await assert.rejects(client.query(statement), /permission denied/, `${statement} (${start} start)`)
    await client.query('grant all on bulkhead.audit_source to current_user')
    await client.query('delete from bulkhead.audit_source')
    await client.query('update bulkhead.audit_source set plugin = \'other\'')
  }
  const { rows } = await client.query<{ plugin: string }>('select plugin from bulkhead.audit_source')
  assert.deepEqual(rows, [{ plugin: 'invoices' }, { plugin: 'invoices' }])
})

test('what was given back, as by a restored dump, is taken away at the next start', async (t) => {
  const { url, client } = await openOwnedDatabase(t)
  const { postgres } = await openTestPostgres(t, { url })
  await prepareAccess(postgres)
  await client.query('insert into audit_log (actor_id, actor_name, action, resource) values (gen_random_uuid(), \'ada\', \'a.b\', \'x\')')
  await client.query('grant all on audit_log to current_user')
  await client.query('drop rule audit_log_keep on audit_log')
  await prepareAccess(postgres)
  await assert.rejects(client.query('update audit_log set actor_name = \'eve\''), /permission denied/)

  const rules = 'select rulename from pg_rewrite where ev_class = \'audit_log\'::regclass'
  await client.query('drop rule audit_log_keep on audit_log')
  await client.query('drop rule audit_log_keep_unarchived on audit_log')
  await prepareAccess(postgres)
  assert.equal((await client.query(rules)).rowCount, 2, 'also where only the rules are missing')
})

test('where archiving is on, archived entries are deleted through one function and no other way', async (t) => {
  const { url, client } = await openOwnedDatabase(t)
  const { postgres } = await openTestPostgres(t, { url })
  await prepareAccess(postgres, undefined, { auditIsArchived: true })
  await client.query(`insert into audit_log (actor_id, actor_name, action, resource, created_at)
    select gen_random_uuid(), 'ada', 'a.b', 'x', now() - make_interval(days => days) from unnest(array[29, 31, 32]) as days`)
  await client.query(`insert into bulkhead.archive_row (source, row_id, object)
    select 'audit_log', id, 'o' from audit_log where created_at > now() - interval '31 days 12 hours'`)
  await client.query('insert into bulkhead.audit_source (audit_id, plugin, is_by_plugin) select id, \'invoices\', false from audit_log')
  const { rows } = await client.query<{ gone: string }>('select bulkhead.delete_archived_audit(\'o\') as gone')
  assert.equal(rows[0]?.gone, '1', 'of two that are noted one is too young')
  await assert.rejects(client.query('delete from audit_log'), /permission denied/)
  assert.equal((await client.query('select from audit_log')).rowCount, 2)
  assert.equal((await client.query('select from bulkhead.audit_source s join audit_log a on a.id = s.audit_id')).rowCount, 2)
  assert.equal((await client.query('select from bulkhead.audit_source')).rowCount, 2, 'what stood beside the entry has gone with it')
  await assert.rejects(client.query('delete from bulkhead.audit_source'), /permission denied/)
})

test('a function for archived entries that an earlier version made is replaced', async (t) => {
  const { url, client } = await openOwnedDatabase(t)
  const { postgres } = await openTestPostgres(t, { url })
  await prepareAccess(postgres, undefined, { auditIsArchived: true })
  await client.query('create or replace function bulkhead.delete_archived_audit (archive text) returns bigint language sql as \'select 0::bigint\'')
  await prepareAccess(postgres, undefined, { auditIsArchived: true })
  const source = async (): Promise<unknown> =>
    (await client.query('select prosrc from pg_proc where proname = \'delete_archived_audit\'')).rows
  assert.match(JSON.stringify(await source()), /audit_source/)
  await prepareAccess(postgres, undefined, { auditIsArchived: false })
  assert.deepEqual(await source(), [])
})

test('deleting a project clears its id in the audit log; no other statement clears or sets it', async (t) => {
  const { url, client } = await openOwnedDatabase(t)
  const { postgres } = await openTestPostgres(t, { url })
  await prepareAccess(postgres)
  await client.query('insert into users (name, email, password_hash) values (\'ada\', \'a@b\', \'x\')')
  await client.query('insert into projects (owner_id, name) select u.id, p.project from users u cross join (values (\'boat\'), (\'ship\')) as p (project)')
  await client.query('insert into audit_log (actor_id, actor_name, action, resource, project_id) select gen_random_uuid(), name, \'a.b\', \'x\', id from projects')
  const named = async (): Promise<unknown> => (await client.query(
    'select a.actor_name, p.name as project from audit_log a left join projects p on p.id = a.project_id order by a.actor_name')).rows

  await client.query('update audit_log set project_id = null')
  await client.query('update audit_log set project_id = (select id from projects where name = \'boat\')')
  assert.deepEqual(await named(), [{ actor_name: 'boat', project: 'boat' }, { actor_name: 'ship', project: 'ship' }])
  await client.query('delete from projects where name = \'boat\'')
  assert.deepEqual(await named(), [{ actor_name: 'boat', project: null }, { actor_name: 'ship', project: 'ship' }])
  await client.query('update audit_log set project_id = (select id from projects where name = \'ship\')')
  assert.deepEqual(await named(), [{ actor_name: 'boat', project: null }, { actor_name: 'ship', project: 'ship' }])
})

test('a superuser\'s delete and update change nothing, and production logs that the role is one', async (t) => {
  const house = await openHouse(t)
  await house.rows('insert into public.audit_log (actor_id, actor_name, action, resource) values (gen_random_uuid(), \'ada\', \'a.b\', \'x\')')
  await house.rows('delete from public.audit_log')
  await house.rows('update public.audit_log set project_id = null')
  assert.equal(await house.postgres.oneFirst(sql.type(z.object({ count: z.int() }))`select count(*) as count from public.audit_log`), 1)
  const logged: object[] = []
  await prepareAccess(house.postgres, createLog(logged))
  assert.match(JSON.stringify(logged), /superuser/)
})
