// The master key that the data was written under, and others.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prepareAccess, verifyMasterKey, WrongMasterKey } from '../../core/access/index.ts'
import { openDatabase } from './house.ts'

const [first, second, third] = ['11', '22', '33'].map(byte => Buffer.from(byte.repeat(32), 'hex')) as [Buffer, Buffer, Buffer]

test('the key of the first start is the one; another is refused, with the settings to look at, and changes nothing', async (t) => {
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

test('a rotation names the old key once; then the new one is the one', async (t) => {
  const { postgres } = await openDatabase(t)
  await prepareAccess(postgres)
  await verifyMasterKey(postgres, { key: first, previous: undefined })
  await verifyMasterKey(postgres, { key: second, previous: first })
  await verifyMasterKey(postgres, { key: second, previous: undefined })
  await assert.rejects(verifyMasterKey(postgres, { key: first, previous: undefined }), WrongMasterKey)
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
