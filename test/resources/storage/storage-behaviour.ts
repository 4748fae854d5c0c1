// What every storage of the host does, a bucket and a folder: one suite for both.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { BadRequest, NotFound } from '../../../core/contract/index.ts'
import type { Storage } from '../../../core/contract/index.ts'
import type { Resource } from '../../../core/handover/resource.ts'
import type { StorageClient } from '../../../core/resources/storage/storage-client.ts'

type Open = (t: TestContext) => Promise<Resource<StorageClient>>

export function behavesLikeStorage (name: string, open: Open): void {
  const it = (fact: string, body: (storage: Storage, client: StorageClient) => Promise<void>): void => {
    test(`${name}: ${fact}`, async t => {
      const resource = await open(t)
      t.after(() => resource.close())
      await body(resource.value.scoped('notes'), resource.value)
    })
  }

  it('gives back what was written, byte by byte', async storage => {
    const content = randomBytes(300_000)
    await storage.write('a/b/c.bin', content, { contentType: 'application/octet-stream' })
    assert.deepEqual(await storage.read('a/b/c.bin'), content)
    await storage.write('a/b/c.bin', 'shorter: é')
    assert.equal((await storage.read('a/b/c.bin')).toString(), 'shorter: é')
    await storage.write('empty', Buffer.alloc(0))
    assert.equal((await storage.read('empty')).length, 0)
  })

  it('keeps keys with unusual letters apart', async storage => {
    const keys = ['a', 'A', 'a b', 'a+b', 'a%20b', 'a?b', 'a#b', 'ünï/码/🙂', '..a', 'a..', '~', '$x', '*', 'a=b']
    for (const key of keys) await storage.write(key, key)
    for (const key of keys) assert.equal((await storage.read(key)).toString(), key)
    assert.deepEqual((await storage.list('')).map(({ key }) => key).toSorted(), keys.toSorted())
  })

  it('answers 404 for what is not there', async storage => {
    await storage.write('folder/object', 'x')
    for (const key of ['nothing', 'folder/nothing', 'folder', 'folder/object/inside']) {
      await assert.rejects(storage.read(key), NotFound, key)
      assert.equal(await storage.stat(key), undefined, key)
    }
  })

  it('knows the size and the time of an object', async storage => {
    await storage.write('a/b', '12345')
    const stat = await storage.stat('a/b')
    assert.equal(stat?.key, 'a/b')
    assert.equal(stat.sizeBytes, 5)
    assert.match(stat.lastModified ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.deepEqual(await storage.list(''), [stat])
  })

  it('removes an object and nothing beside it', async storage => {
    await storage.write('a/b', '1')
    await storage.write('a/c', '2')
    await storage.delete('a/b')
    await storage.delete('a/b')
    await storage.delete('a')
    await storage.delete('never/was')
    assert.equal(await storage.stat('a/b'), undefined)
    assert.deepEqual((await storage.list('')).map(({ key }) => key), ['a/c'])
  })

  it('lists what begins with a prefix, in key order, and no more than asked for', async storage => {
    const keys = ['a-b', 'a/1', 'a/2/x', 'a/3', 'ab/1', 'b', 'ü']
    for (const key of keys.toReversed()) await storage.write(key, key)
    const list = async (prefix: string, limit?: number): Promise<string[]> =>
      (await storage.list(prefix, limit === undefined ? {} : { limit })).map(({ key }) => key)
    assert.deepEqual(await list(''), keys)
    assert.deepEqual(await list('a'), ['a-b', 'a/1', 'a/2/x', 'a/3', 'ab/1'])
    assert.deepEqual(await list('a/'), ['a/1', 'a/2/x', 'a/3'])
    assert.deepEqual(await list('a/2'), ['a/2/x'])
    assert.deepEqual(await list('a/2/x'), ['a/2/x'])
    assert.deepEqual(await list('nothing/'), [])
    assert.deepEqual(await list('b/'), [])
    assert.deepEqual(await list('a/', 2), ['a/1', 'a/2/x'])
    assert.deepEqual(await list('', 0), [])
    assert.deepEqual((await storage.list('a/'))[1]?.sizeBytes, 5)
  })

  it('keeps plugins apart, whatever their keys look like', async (storage, client) => {
    await storage.write('secret', 'of notes')
    const other = client.scoped('other')
    for (const key of ['../notes/secret', '/notes/secret', 'a/../../notes/secret', '..\\notes\\secret', './secret', 'a//b', '', 'a/']) {
      await assert.rejects(other.read(key), BadRequest, key)
      await assert.rejects(other.write(key, 'x'), BadRequest, key)
      await assert.rejects(other.stat(key), BadRequest, key)
      await assert.rejects(other.delete(key), BadRequest, key)
      await assert.rejects(other.presign(key, { for: 'read', expiresInMs: 60_000 }), BadRequest, key)
    }
    for (const prefix of ['../', '..', '../notes', '/notes']) await assert.rejects(other.list(prefix), BadRequest, prefix)
    await assert.rejects(other.read('notes/secret'), NotFound)
    assert.deepEqual(await other.list(''), [])
    // `other` is the beginning of `other-one`, and their prefixes still do not meet.
    await client.scoped('other-one').write('key', 'x')
    assert.deepEqual(await other.list(''), [])
    assert.equal((await client.host.read('notes/secret')).toString(), 'of notes')
    for (const id of ['', '..', 'a/b', 'A']) assert.throws(() => client.scoped(id), TypeError, id)
  })

  it('counts the prefix into the length of a key', async storage => {
    const segments = 'x'.repeat(100).concat('/').repeat(10)
    const fits = segments + 'y'.repeat(1_024 - 'notes/'.length - segments.length)
    await storage.write(fits, 'x')
    assert.equal((await storage.read(fits)).toString(), 'x')
    await assert.rejects(storage.write(`${fits}y`, 'x'), BadRequest)
  })

  it('refuses a link that lives no time or for ever', async storage => {
    for (const expiresInMs of [0, 999, -1, Number.NaN, 7 * 86_400_000 + 1]) {
      await assert.rejects(storage.presign('a', { for: 'read', expiresInMs }), RangeError, String(expiresInMs))
    }
  })

  test(`${name}: answers a check, unless told to stop`, async t => {
    const resource = await open(t)
    t.after(() => resource.close())
    await resource.check(new AbortController().signal)
    await assert.rejects(resource.check(AbortSignal.abort(new Error('stopping'))), /stopping/)
  })
}
