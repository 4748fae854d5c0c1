// The master key: the configured one, or one that is made once and kept.

import assert from 'node:assert/strict'
import { chmod, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadMasterKey } from '../../config/master-key.ts'
import { temporaryFolder } from '../support/host.ts'

test('a configured key is taken and nothing is written', async (t) => {
  const dataPath = await temporaryFolder(t)
  const key = await loadMasterKey({ dataPath, configured: 'Ab'.repeat(32) })
  assert.deepEqual([key.length, key[0]], [32, 0xab])
  assert.deepEqual(await readdir(dataPath), [])
})

test('hosts that start together make one key, readable by its owner only, and keep it', async (t) => {
  const dataPath = join(await temporaryFolder(t), 'data')
  const keys = await Promise.all(Array.from({ length: 20 }, () => loadMasterKey({ dataPath, configured: '' })))
  assert.equal(new Set(keys.map(key => key.toString('hex'))).size, 1)
  assert.equal(keys[0]?.length, 32)
  assert.deepEqual(await readdir(dataPath), ['master-key'])
  assert.equal((await stat(join(dataPath, 'master-key'))).mode & 0o777, 0o600)
  assert.deepEqual(await loadMasterKey({ dataPath, configured: '' }), keys[0])
})

test('a file that holds no key is refused by its path and left as it is', async (t) => {
  const dataPath = await temporaryFolder(t)
  for (const content of ['', 'abc', 'g'.repeat(64)]) {
    await writeFile(join(dataPath, 'master-key'), content)
    await assert.rejects(loadMasterKey({ dataPath, configured: '' }), { code: 'BULKHEAD_MASTER_KEY_NOT_LOADED', message: /master-key is not 64 hexadecimal digits/ })
  }
})

test('a data folder that cannot be written says so and what to do', { skip: process.getuid?.() === 0 && 'root writes everywhere' }, async (t) => {
  const dataPath = await temporaryFolder(t)
  await chmod(dataPath, 0o500)
  await assert.rejects(loadMasterKey({ dataPath, configured: '' }), { message: /cannot be read or made: EACCES.*PLATFORM_MASTER_KEY/ })
})

test('a data folder that is a file says so and what to do', async (t) => {
  const dataPath = join(await temporaryFolder(t), 'file')
  await writeFile(dataPath, '')
  await assert.rejects(loadMasterKey({ dataPath, configured: '' }), { code: 'BULKHEAD_MASTER_KEY_NOT_LOADED', message: /cannot be read or made: ENOTDIR/ })
})
