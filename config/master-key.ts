// Loads the master key. When the settings give none, it is created once and stored in the data folder.

import { randomBytes, randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Thrown when the file in the data folder does not hold a key, or cannot be read or created. */
export class MasterKeyNotLoaded extends Error {
  readonly code = 'BULKHEAD_MASTER_KEY_NOT_LOADED'

  constructor (path: string, what: string, options?: ErrorOptions) {
    super(`The master key in ${path} ${what}`, options)
    this.name = 'MasterKeyNotLoaded'
  }
}

/**
 * Resolves with the 32 bytes of the key: the `configured` hex digits or, when these are empty, those in
 * `<dataPath>/master-key`. That file is created (mode 0600) if it does not exist.
 */
export async function loadMasterKey ({ dataPath, configured }: { dataPath: string, configured: string }): Promise<Buffer> {
  if (configured !== '') return Buffer.from(configured, 'hex')
  const path = join(dataPath, 'master-key')
  try {
    const hex = (await find(path) ?? await make(dataPath, path)).trim()
    if (/^[0-9a-f]{64}$/i.test(hex)) return Buffer.from(hex, 'hex')
  } catch (cause) {
    throw new MasterKeyNotLoaded(path, `cannot be read or made: ${(cause as Error).message}. Give the host the right to the data folder, or set PLATFORM_MASTER_KEY.`, { cause })
  }
  throw new MasterKeyNotLoaded(path, 'is not 64 hexadecimal digits. Put the right key back; without it what was encrypted is lost.')
}

async function find (path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Creates the key file. It is written under another name and then linked into place, so that hosts that start together
 * agree on one key and none reads half a key.
 */
async function make (dataPath: string, path: string): Promise<string> {
  await mkdir(dataPath, { recursive: true })
  const draft = `${path}.${randomUUID()}`
  try {
    await writeFile(draft, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx' })
    await link(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(draft, { force: true })
  }
  return readFile(path, 'utf8')
}
