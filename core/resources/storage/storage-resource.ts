// Opens the object storage through opendal: an S3 bucket or, in development, a folder.

import { Operator, TimeoutLayer } from 'opendal'
import type { Entry } from 'opendal'
import { withDeadline } from '../../concurrency/deadline.ts'
import type { StoredObject } from '../../contract/index.ts'
import type { OpenParts, Resource } from '../../handover/resource.ts'
import { Pulse } from '../pulse.ts'
import { byKey, createStorageClient, pageSize } from './storage-client.ts'
import type { Place, StorageClient, StorageLimits } from './storage-client.ts'
import { explainBucket, isStorageAnswer, parseStorageError } from './storage-error.ts'
import { checkFolder, checkPath, prepareFolder } from './storage-folder.ts'

export type { StorageClient } from './storage-client.ts'

export type StorageSettings = FolderSettings | BucketSettings
interface FolderSettings { kind: 'folder', path: string }
interface BucketSettings { kind: 's3', endpoint: string, accessKey: string, secretKey: string, bucket: string, region: string }

const attemptMs = 3_000
const transferMs = 10_000

/**
 * Checks that the bucket can be listed, or that the folder can be read and written. Otherwise it rejects with the
 * setting to check. A bucket is not created. `limits` are by default 10 s for a read or write and 1 s for a link.
 */
export async function openStorage (
  settings: StorageSettings, { signal, clock, log }: OpenParts, limits: StorageLimits = {}
): Promise<Resource<StorageClient>> {
  const place = settings.kind === 's3' ? await openBucket(settings, signal) : await openFolder(settings)
  const pulse = new Pulse({
    name: 'the object storage',
    clock,
    log,
    ask: signal => place.check(signal).catch((error: unknown) => {
      if (error instanceof Error && isStorageAnswer(error.cause)) pulse.beat()
      throw error
    })
  })
  return {
    value: createStorageClient(place, pulse, limits),
    check: signal => pulse.check(signal),
    // The client has nothing to close: its connections end with it.
    close: async () => pulse.close()
  }
}

async function openBucket (settings: BucketSettings, signal: AbortSignal): Promise<Place> {
  const { endpoint, accessKey, secretKey, bucket, region } = settings
  const timeout = new TimeoutLayer()
  timeout.timeout = attemptMs
  timeout.ioTimeout = transferMs
  const operator = new Operator('s3', {
    endpoint, bucket, region, access_key_id: accessKey, secret_access_key: secretKey,
    // The client uses only the settings: it reads nothing from the environment of other tools, and nothing from a
    // cloud's metadata address.
    disable_config_load: 'true', disable_ec2_metadata: 'true'
  }).layer(timeout.build())
  const check = async (signal: AbortSignal): Promise<void> => {
    try {
      await withDeadline(attemptMs, () => operator.check(), signal)
    } catch (error) {
      signal.throwIfAborted()
      throw new Error(explainBucket(settings, error), { cause: error })
    }
  }
  await check(signal)
  return {
    ...objectsOf(operator),
    check,
    admit: async () => undefined,
    remove: key => operator.delete(key),
    presign: async (key, use, seconds) =>
      (await (use === 'read' ? operator.presignRead(key, seconds) : operator.presignWrite(key, seconds))).url,
    walk: async function* (prefix, limit) {
      const lister = await operator.lister(prefix, { recursive: true, limit: Math.min(limit, pageSize) })
      for (let entry = await lister.next(); entry !== null; entry = await lister.next()) {
        if (entry.metadata().isFile() && !entry.path().endsWith('/')) yield describe(entry.path(), entry.metadata())
      }
    }
  }
}

async function openFolder ({ path }: FolderSettings): Promise<Place> {
  const folder = await prepareFolder(path)
  const operator = new Operator('fs', { root: folder.root, atomic_write_dir: folder.incoming })

  // A directory's name is compared with its slash, so that keys come out in order without a read of the directories
  // that follow.
  async function* walk (prefix: string, directory: string): AsyncGenerator<StoredObject> {
    const entries = (await operator.list(directory)).map(entry => ({ key: entry.path(), metadata: entry.metadata() }))
    for (const { key, metadata } of entries.sort(byKey)) {
      if (key === directory || key === '/') continue
      if (metadata.isDirectory()) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) yield* walk(prefix, key)
      } else if (metadata.isFile() && key.startsWith(prefix)) {
        const object = await find(operator, key)
        if (object !== undefined) yield object
      }
    }
  }

  return {
    ...objectsOf(operator),
    check: async signal => {
      signal.throwIfAborted()
      await checkFolder(folder)
    },
    admit: key => checkPath(folder.root, key),
    remove: async key => {
      // The key may name a directory, which is not an object and stays.
      if (await find(operator, key) !== undefined) await operator.delete(key)
    },
    walk: prefix => walk(prefix, '')
  }
}

function objectsOf (operator: Operator): Pick<Place, 'read' | 'write' | 'find'> {
  return {
    read: key => operator.read(key),
    write: async (key, content, contentType) => { await operator.write(key, content, contentType === undefined ? {} : { contentType }) },
    find: key => find(operator, key)
  }
}

async function find (operator: Operator, path: string): Promise<StoredObject | undefined> {
  try {
    const metadata = await operator.stat(path)
    return metadata.isFile() ? describe(path, metadata) : undefined
  } catch (error) {
    if (['NotFound', 'NotADirectory'].includes(parseStorageError(error).kind)) return undefined
    throw error
  }
}

function describe (key: string, { contentLength, lastModified }: ReturnType<Entry['metadata']>): StoredObject {
  return {
    key,
    sizeBytes: Number(contentLength ?? 0),
    lastModified: lastModified === null ? undefined : new Date(lastModified).toISOString()
  }
}
