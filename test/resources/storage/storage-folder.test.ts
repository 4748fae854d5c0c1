// Storage in a folder: the common behaviour, and what only a file system can do to it.

import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { BadRequest, Conflict } from '../../../core/contract/index.ts'
import type { Resource } from '../../../core/handover/resource.ts'
import type { StorageClient } from '../../../core/resources/storage/storage-client.ts'
import { openStorage } from '../../../core/resources/storage/storage-resource.ts'
import { temporaryFolder } from '../../support/host.ts'
import { openParts } from '../../support/part.ts'
import { behavesLikeStorage } from './storage-behaviour.ts'

const openAt = (path: string): Promise<Resource<StorageClient>> => openStorage({ kind: 'folder', path }, openParts())

behavesLikeStorage('folder', async t => openAt(await temporaryFolder(t)))

test('a folder that is not there is made', async t => {
  const path = join(await temporaryFolder(t), 'deep/er')
  const { value } = await openAt(path)
  await value.host.write('a', 'x')
  assert.equal((await (await openAt(path)).value.host.read('a')).toString(), 'x')
})

test('no symbolic link is followed out of the folder', async (t: TestContext) => {
  const path = await temporaryFolder(t)
  const outside = await temporaryFolder(t)
  await writeFile(join(outside, 'secret'), 'top')
  const { value } = await openAt(path)
  const notes = value.scoped('notes')
  await notes.write('own', 'x')
  await symlink(outside, join(path, 'kept/notes/folder'))
  await symlink(join(outside, 'secret'), join(path, 'kept/notes/file'))
  await symlink(join(outside, 'not-there'), join(path, 'kept/notes/dangling'))
  await symlink('circle', join(path, 'kept/notes/circle'))
  for (const key of ['folder/secret', 'folder/new', 'folder/deep/new', 'file', 'circle']) {
    await assert.rejects(notes.read(key), BadRequest, key)
    await assert.rejects(notes.write(key, 'changed'), BadRequest, key)
    await assert.rejects(notes.stat(key), BadRequest, key)
    await assert.rejects(notes.delete(key), BadRequest, key)
  }
  assert.deepEqual((await notes.list('')).map(({ key }) => key), ['own'])
  assert.deepEqual(await notes.list('folder/'), [])
  await notes.write('dangling', 'mine')
  assert.deepEqual(await readdir(outside), ['secret'])
  assert.equal(await readFile(join(outside, 'secret'), 'utf8'), 'top')
})

test('a folder reached by a symbolic link itself is fine', async t => {
  const path = await temporaryFolder(t)
  await mkdir(join(path, 'real'))
  await symlink(join(path, 'real'), join(path, 'link'))
  const { value } = await openAt(join(path, 'link'))
  await value.host.write('a/b', 'x')
  assert.equal((await value.host.read('a/b')).toString(), 'x')
})

test('a key inside another object, or around one, is a conflict', async t => {
  const { value } = await openAt(await temporaryFolder(t))
  await value.host.write('a/b', 'x')
  await assert.rejects(value.host.write('a/b/c', 'x'), Conflict)
  await assert.rejects(value.host.write('a', 'x'), Conflict)
  assert.equal((await value.host.read('a/b')).toString(), 'x')
})

test('a segment that no file system takes is refused by its length', async t => {
  const { value } = await openAt(await temporaryFolder(t))
  await value.host.write('x'.repeat(200), 'x')
  await assert.rejects(value.host.write('x'.repeat(201), 'x'), BadRequest)
})

test('what a killed process left half written is removed at the next start, what is fresh is not', async t => {
  const path = await temporaryFolder(t)
  await openAt(path)
  const long = new Date(Date.now() - 7_200_000)
  await writeFile(join(path, 'incoming/old'), 'x')
  await utimes(join(path, 'incoming/old'), long, long)
  await writeFile(join(path, 'incoming/new'), 'x')
  await openAt(path)
  assert.deepEqual(await readdir(join(path, 'incoming')), ['new'])
})

test('a reader sees the old object or the new one, never half of one', async t => {
  const { value } = await openAt(await temporaryFolder(t))
  const versions = ['a', 'b', 'c'].map(letter => letter.repeat(200_000))
  await value.host.write('key', versions[0] ?? '')
  const writing = Promise.all(versions.map(version => value.host.write('key', version)))
  for (let i = 0; i < 20; i++) assert.ok(versions.includes((await value.host.read('key')).toString()))
  await writing
  assert.ok(versions.includes((await value.host.read('key')).toString()))
})

test('a folder has no links', async t => {
  const { value } = await openAt(await temporaryFolder(t))
  assert.equal(await value.host.presign('a', { for: 'read', expiresInMs: 60_000 }), undefined)
})

test('a folder that cannot be used is named, with the setting', async t => {
  const path = await temporaryFolder(t)
  await writeFile(join(path, 'file'), 'x')
  await assert.rejects(openAt(join(path, 'file')), (error: unknown) => {
    assert.ok(error instanceof Error)
    assert.match(error.message, /The folder for objects, .*\/file, cannot be used: .*PLATFORM_DATA_PATH/)
    return true
  })
})

test('a check says when the folder is gone', async t => {
  const path = await temporaryFolder(t)
  const resource = await openAt(path)
  await rm(path, { recursive: true })
  await assert.rejects(resource.check(new AbortController().signal), /ENOENT/)
})
