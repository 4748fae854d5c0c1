// The master key that the data was written under, and others.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prepareAccess } from '../../core/access/index.ts'
import { keyIdOf } from '../../core/encryption/envelope.ts'
import { MasterKeyStillNeeded, verifyMasterKey, WrongMasterKey } from '../../core/encryption/index.ts'
import { openDatabase } from '../access/fixture.ts'

const [first, second, third] = ['11', '22', '33'].map(byte => Buffer.from(byte.repeat(32), 'hex')) as [Buffer, Buffer, Buffer]

test('a key other than the first start\'s is refused, names the settings and changes nothing', async (t) => {
  const { postgres, rows } = await openDatabase(t)
  await prepareAccess(postgres)
  await verifyMasterKey(postgres, { key: first, previous: undefined })
  await verifyMasterKey(postgres, { key: first, previous: undefined })
  const before = await rows('select * from bulkhead.master_key_check')

  await assert.rejects(verifyMasterKey(postgres, { key: second, previous: undefined }), (error: unknown) => {
    assert.ok(error instanceof WrongMasterKey)
    for (const setting of ['PLATFORM_MASTER_KEY', 'PLATFORM_MASTER_KEY_PREVIOUS', 'PLATFORM_DATA_PATH', 'DATABASE_URL']) assert.ok(error.message.includes(setting))
    return true
  })
  await assert.rejects(verifyMasterKey(postgres, { key: second, previous: third }), WrongMasterKey)
  assert.deepEqual(await rows('select * from bulkhead.master_key_check'), before)
  await verifyMasterKey(postgres, { key: first, previous: undefined })
})

test('a rotation names the old key until nothing can be under it; then the new one is the one', async (t) => {
  const { postgres, rows } = await openDatabase(t)
  await prepareAccess(postgres)
  await verifyMasterKey(postgres, { key: first, previous: undefined })
  await verifyMasterKey(postgres, { key: second, previous: first })
  await rows(`insert into bulkhead.sealed (plugin, name, key_id, left_over) values
    ('a', 'counted', $1, 3), ('b', 'clean', $1, 0), ('c', 'old-count', 'other', 0), ('d', 'new', null, null)`, [keyIdOf(second)])
  const before = await rows('select * from bulkhead.master_key_check, bulkhead.master_key')
  for (const previous of [undefined, third]) {
    await assert.rejects(verifyMasterKey(postgres, { key: second, previous }), (error: unknown) => {
      assert.ok(error instanceof MasterKeyStillNeeded)
      assert.ok(error.message.startsWith(`The database still needs the master key ${keyIdOf(first)}, which this host does not have: ` +
        'left under it are 3 of a/counted, all of c/old-count that there were, all of d/new that there were. Set PLATFORM_MASTER_KEY_PREVIOUS'), error.message)
      return true
    })
  }
  await assert.rejects(verifyMasterKey(postgres, { key: third, previous: second }), MasterKeyStillNeeded)
  assert.deepEqual(await rows('select * from bulkhead.master_key_check, bulkhead.master_key'), before)

  await rows('delete from bulkhead.master_key where key_id = $1', [keyIdOf(first)])
  await verifyMasterKey(postgres, { key: second, previous: undefined })
  await assert.rejects(verifyMasterKey(postgres, { key: first, previous: undefined }), WrongMasterKey)
})

test('a key that is to come opens beside the old one, before it is the one', async (t) => {
  const { postgres } = await openDatabase(t)
  await prepareAccess(postgres)
  await verifyMasterKey(postgres, { key: first, previous: undefined })
  await verifyMasterKey(postgres, { key: first, previous: second })
  await verifyMasterKey(postgres, { key: first, previous: undefined })
  await verifyMasterKey(postgres, { key: first, previous: second })
  await verifyMasterKey(postgres, { key: second, previous: first })
  // A replica that was not yet given the new settings starts once more.
  await verifyMasterKey(postgres, { key: first, previous: second })
  await verifyMasterKey(postgres, { key: second, previous: first })
})

test('of two hosts with different keys on a new database one is refused', async (t) => {
  const { postgres } = await openDatabase(t)
  await prepareAccess(postgres)
  const results = await Promise.allSettled([first, second].map(key => verifyMasterKey(postgres, { key, previous: undefined })))
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})

test('neither the key nor anything it could be found from is stored', async (t) => {
  const { postgres, rows } = await openDatabase(t)
  await prepareAccess(postgres)
  await verifyMasterKey(postgres, { key: first, previous: undefined })
  const [row] = await rows('select value from bulkhead.master_key_check')
  assert.match(String(row?.value), /^[0-9a-f]{64}$/)
  assert.notEqual(row?.value, first.toString('hex'))
})
