// Prepares the folder that stores objects, and refuses keys that lead out of it through a symbolic link.

import { access, constants, mkdir, readdir, realpath, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BadRequest } from '../../contract/index.ts'

/** Maximum size of one segment of a key. File systems allow 255 bytes, and a write in progress adds its own ending. */
const segmentBytes = 200
const abandonedAfterMs = 60 * 60 * 1_000

export interface Folder {
  /** Folder that holds the objects; a real path. */
  root: string
  /** Folder for writes in progress, on the same file system, so that an object appears complete or not at all. */
  incoming: string
}

/** Prepares the folder, or rejects with what is wrong with it. */
export async function prepareFolder (path: string): Promise<Folder> {
  try {
    await mkdir(join(path, 'kept'), { recursive: true })
    const real = await realpath(path)
    const folder = { root: join(real, 'kept'), incoming: join(real, 'incoming') }
    await mkdir(folder.incoming, { recursive: true })
    await checkFolder(folder)
    await removeAbandoned(folder.incoming)
    return folder
  } catch (cause) {
    throw new Error(`The folder for objects, ${path}, cannot be used: ${(cause as Error).message}. ` +
      'Give the user of this process the right to read and write there, or name another place in PLATFORM_DATA_PATH.', { cause })
  }
}

export async function checkFolder ({ root, incoming }: Folder): Promise<void> {
  for (const part of [root, incoming]) await access(part, constants.R_OK | constants.W_OK | constants.X_OK)
}

/** Removes files that a killed process left behind while it was writing them. */
async function removeAbandoned (incoming: string): Promise<void> {
  for (const name of await readdir(incoming)) {
    const path = join(incoming, name)
    const { mtimeMs } = await stat(path)
    if (Date.now() - mtimeMs > abandonedAfterMs) await rm(path, { recursive: true, force: true })
  }
}

/**
 * Throws `BadRequest` when a symbolic link lies on the way to the key, or the key cannot be a path. An attacker who can
 * create a link there between this check and the use can write to the folder anyway.
 */
export async function checkPath (root: string, key: string): Promise<void> {
  if (key.split('/').some(segment => Buffer.byteLength(segment) > segmentBytes)) {
    throw new BadRequest(`A folder cannot store a key with a segment longer than ${segmentBytes} bytes.`)
  }
  for (let path = join(root, key); path !== root; path = dirname(path)) {
    const real = await findRealPath(path)
    if (real === path) return
    if (real !== undefined) throw new BadRequest('The key leads through a symbolic link.')
  }
}

async function findRealPath (path: string): Promise<string | undefined> {
  try {
    return await realpath(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (code === 'ELOOP') return ''
    throw error
  }
}
