// Replicas that change their master key one after the other, on a database of their own.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { suite, test, type TestContext } from 'node:test'
import { prepareAccess } from '../../core/access/index.ts'
import { renderKeys } from '../../core/cli/key-table.ts'
import { SealBroken, sql, z, type Encryption } from '../../core/contract/index.ts'
import { createEncryption, createKeyRotation, verifyMasterKey, type EncryptionModule, type KeyRotation } from '../../core/encryption/index.ts'
import { openDatabase, type Database } from '../access/fixture.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createLog } from '../support/part.ts'
import { undo } from '../support/undo.ts'
import { until } from '../support/until.ts'

const [first, second] = ['11', '22'].map(byte => Buffer.from(byte.repeat(32), 'hex')) as [Buffer, Buffer]
const [oldId, newId] = [first, second].map(key => createEncryption({ key, previous: undefined }).keyId) as [string, string]
const operator = { id: randomUUID(), name: 'the console' }
const never = new AbortController().signal

interface Replica {
  readonly room: EncryptionModule
  readonly keys: KeyRotation
  /** As the plugin `vault` has it. */
  readonly vault: Encryption
  put (id: number, value: string): Promise<unknown>
  get (id: number): Promise<string>
  stop (): Promise<void>
}

interface Harbour extends Database {
  start (key: Buffer, previous?: Buffer, options?: { byItself: boolean }): Promise<Replica>
}

/** With a table, as a plugin has one. */
async function openHarbour (t: TestContext): Promise<Harbour> {
  const database = await openDatabase(t)
  const { postgres, rows } = database
  await prepareAccess(postgres)
  await rows('create table public.card (id int primary key, sealed bytea not null)')
  const Card = z.object({ id: z.int(), sealed: z.instanceof(Buffer) })
  return {
    ...database,
    start: async (key, previous, { byItself } = { byItself: false }) => {
      await verifyMasterKey(postgres, { key, previous })
      const room = createEncryption({ key, previous })
      const keys = createKeyRotation({
        // Time stands still: it says that it seals when it starts, when something is declared, and when it is woken.
        postgres, encryption: room, key, replica: randomUUID(), clock: createFakeClock(), log: createLog(),
        requestRewrap: async () => { if (byItself) await keys.rewrap(never) }
      })
      const leave = await keys.follow()
      let stopping: Promise<void> | undefined
      const stop = (): Promise<void> => stopping ??= leave()
      undo(t, stop)
      const vault = room.scoped('vault')
      const others = (keyId: string) => sql.fragment`substring(sealed from 2 for 8) <> decode(${keyId}, 'hex')`
      vault.keeps('cards', {
        pending: keyId => postgres.oneFirst(sql.type(z.object({ count: z.int() }))`select count(*) as count from public.card where ${others(keyId)}`),
        rewrap: async (keyId, limit) => {
          const cards = await postgres.any(sql.type(Card)`select id, sealed from public.card where ${others(keyId)} order by id limit ${limit}`)
          let written = 0
          for (const { id, sealed } of cards) {
            const anew = vault.seal(vault.open(sealed, [String(id)]), [String(id)])
            written += (await postgres.query(sql.unsafe`update public.card set sealed = ${sql.binary(anew)} where id = ${id} and sealed = ${sql.binary(sealed)}`)).rowCount
          }
          return written
        }
      })
      await until(async () => (await rows('select from bulkhead.sealed where plugin = \'vault\'')).length === 1)
      return {
        room, keys, vault, stop,
        put: (id, value) => rows('insert into public.card values ($1, $2) on conflict (id) do update set sealed = excluded.sealed', [id, vault.seal(value, [String(id)])]),
        get: async id => vault.open((await rows('select sealed from public.card where id = $1', [id]))[0]?.sealed as Buffer, [String(id)]).toString()
      }
    }
  }
}

suite('a change of the master key', { concurrency: true }, () => {
  test('moves everything under the new key, and then the old one is not needed', async (t) => {
    const harbour = await openHarbour(t)
    const before = await harbour.start(first)
    for (let id = 0; id < 250; id++) await before.put(id, `card ${id}`)
    await before.keys.rewrap(never)
    assert.deepEqual(await before.keys.status(), {
      keyId: oldId, previousKeyId: null, isNewest: true, keys: [{ keyId: oldId, replicas: 1 }], sealed: [{ plugin: 'vault', name: 'cards', counts: { [oldId]: 250 } }]
    })
    await before.stop()

    const after = await harbour.start(second, first)
    assert.equal(await after.get(7), 'card 7')
    await after.put(7, 'another')
    assert.deepEqual((await after.keys.status()).sealed, [{ plugin: 'vault', name: 'cards', counts: { [oldId]: 249, [newId]: 1 } }])
    assert.match(renderKeys(await after.keys.status()), new RegExp(`${oldId} must stay in PLATFORM_MASTER_KEY_PREVIOUS\\.\n.*249 of vault/cards`))
    await assert.rejects(verifyMasterKey(harbour.postgres, { key: second, previous: undefined }), { message: /all of vault\/cards/ })
    await after.keys.rewrap(never)
    assert.deepEqual(await after.keys.status(), {
      keyId: newId, previousKeyId: oldId, isNewest: true, keys: [{ keyId: newId, replicas: 1 }], sealed: [{ plugin: 'vault', name: 'cards', counts: { [newId]: 250 } }]
    })
    assert.match(renderKeys(await after.keys.status()), /PLATFORM_MASTER_KEY_PREVIOUS can be removed\.$/)
    await after.stop()

    assert.deepEqual((await harbour.rows('select action, detail from audit_log where resource = \'master-key\' order by created_at')), [
      { action: 'master-key.change', detail: { from: oldId, to: newId } }, { action: 'master-key.retire', detail: { key: oldId, current: newId } }
    ])
    const last = await harbour.start(second)
    assert.deepEqual([await last.get(7), await last.get(249)], ['another', 'card 249'])
  })

  test('goes on by itself as soon as a replica with the new key has a plugin that keeps something', async (t) => {
    const harbour = await openHarbour(t)
    const before = await harbour.start(first)
    await before.put(1, 'one')
    await before.stop()
    const after = await harbour.start(second, first, { byItself: true })
    await until(async () => (await after.keys.status()).keys.length === 1)
  })

  test('the re-wrap waits for replicas that seal under the old key and cannot read under the new', async (t) => {
    const harbour = await openHarbour(t)
    const old = await harbour.start(first)
    await old.put(1, 'one')
    const young = await harbour.start(second, first)
    await young.put(2, 'two')
    await assert.rejects(old.get(2), SealBroken)
    await young.keys.rewrap(never)
    await assert.rejects(old.get(1), SealBroken)
    await old.put(3, 'three')
    assert.equal(await young.get(3), 'three')

    assert.equal((await old.keys.status()).isNewest, false)
    assert.match(renderKeys(await old.keys.status()), /newer PLATFORM_MASTER_KEY/)
    await old.keys.rewrap(never)
    assert.deepEqual((await young.keys.status()).keys, [{ keyId: oldId, replicas: 1 }, { keyId: newId, replicas: 1 }])
    assert.match(renderKeys(await young.keys.status()), new RegExp(`must stay.*\n.*1 with ${oldId}.*\n.*1 of vault/cards`))
    // Nothing is left for the moment; but it still seals.
    await young.keys.rewrap(never)
    assert.deepEqual((await young.keys.status()).sealed[0]?.counts, { [newId]: 3, [oldId]: 0 })
    assert.equal((await young.keys.status()).keys.length, 2)
    await old.put(4, 'four')
    await old.stop()
    await young.keys.rewrap(never)
    assert.deepEqual((await young.keys.status()).keys, [{ keyId: newId, replicas: 1 }])
    assert.equal(await young.get(4), 'four')
  })

  test('every replica can read everything when each is first given the new key beside the old', async (t) => {
    const harbour = await openHarbour(t)
    const [plain, ready] = [await harbour.start(first), await harbour.start(first, second)]
    await plain.put(1, 'one')
    await plain.stop()
    const young = await harbour.start(second, first)
    await young.put(2, 'two')
    assert.deepEqual([await ready.get(1), await ready.get(2), await young.get(1)], ['one', 'two', 'one'])
    await young.keys.rewrap(never)
    assert.equal(await ready.get(1), 'one')
  })

  test('does not wait for a replica that was killed, and starts again for one that was only frozen', async (t) => {
    const harbour = await openHarbour(t)
    const frozen = await harbour.start(first)
    const young = await harbour.start(second, first)
    await harbour.rows('update bulkhead.master_key_use set seen_at = now() - interval \'3 minutes\' where key_id = $1', [oldId])
    await young.keys.rewrap(never)
    assert.deepEqual((await young.keys.status()).keys, [{ keyId: newId, replicas: 1 }])
    await frozen.put(1, 'one')
    frozen.keys.wake()
    await until(async () => (await young.keys.status()).keys.length === 2)
    await assert.rejects(verifyMasterKey(harbour.postgres, { key: second, previous: undefined }), { code: 'BULKHEAD_MASTER_KEY_STILL_NEEDED' })
    await young.keys.rewrap(never)
    assert.equal(await young.get(1), 'one')
  })

  test('is not over while a plugin is away, or while one cannot be opened', async (t) => {
    const harbour = await openHarbour(t)
    const old = await harbour.start(first)
    await old.put(1, 'one')
    const forget = old.room.scoped('away').keeps('all', { pending: async () => 1, rewrap: async () => 0 })
    await until(async () => (await harbour.rows('select from bulkhead.sealed where plugin = \'away\'')).length === 1)
    await assert.rejects(old.keys.forget('away', operator), { status: 409 })
    forget()
    await old.stop()
    const young = await harbour.start(second, first)
    await young.keys.rewrap(never)
    assert.deepEqual((await young.keys.status()).sealed, [
      { plugin: 'vault', name: 'cards', counts: { [newId]: 1, [oldId]: 0 } }, { plugin: 'away', name: 'all', counts: null }
    ])
    assert.match(renderKeys(await young.keys.status()), /must stay.*\n.*"away" does not run.*keys -- forget away --yes/)
    await assert.rejects(young.keys.forget('nobody', operator), { status: 404 })
    young.room.scoped('broken').keeps('one', { pending: async keyId => keyId === newId ? 1 : 0, rewrap: async () => { throw new SealBroken('a test') } })
    // What has never been declared has sealed nothing, and stands in no key's way.
    await until(async () => (await harbour.rows('select from bulkhead.sealed where plugin = \'broken\'')).length === 1)
    await young.keys.forget('away', operator)
    await young.keys.rewrap(never)
    assert.equal((await young.keys.status()).keys.length, 2)
  })

  test('does not undo what is written while it goes on', async (t) => {
    const harbour = await openHarbour(t)
    const old = await harbour.start(first)
    for (let id = 0; id < 200; id++) await old.put(id, 'before')
    await old.stop()
    const young = await harbour.start(second, first)
    const writing = (async () => { for (let id = 0; id < 200; id += 2) await young.put(id, 'after') })()
    await Promise.all([writing, young.keys.rewrap(never), young.keys.rewrap(never)])
    await young.keys.rewrap(never)
    const values: string[] = []
    for (let id = 0; id < 200; id++) values.push(await young.get(id))
    assert.deepEqual(values, Array.from({ length: 200 }, (_, id) => id % 2 === 0 ? 'after' : 'before'))
    assert.equal((await young.keys.status()).keys.length, 1)
  })
})
