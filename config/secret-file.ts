// Reads secrets from files. `<VARIABLE>_FILE` may name the file of a sensitive setting, as Docker, systemd and
// Kubernetes mount secrets.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { resolve } from 'node:path'

/** Returns the name of the variable that names the file of a secret. */
export const fileVariable = (env: string): string => `${env}_FILE`

export interface SecretFiles {
  /** The variables, with the content of the secret files filled in. */
  readonly env: Readonly<Record<string, string>>
  /** The path of each secret file, by the variable that it sets. It includes files that could not be read. */
  readonly paths: ReadonlyMap<string, string>
  /** Problems as sentences, by the variable that the file sets. */
  readonly problems: ReadonlyMap<string, string>
}

/**
 * Reads the secret files. `names` are the variables that may come from a file. Relative paths are relative to `root`.
 */
export function readSecretFiles (env: Readonly<Record<string, string>>, names: readonly string[], root: string): SecretFiles {
  const read: Record<string, string> = { ...env }
  const paths = new Map<string, string>()
  const problems = new Map<string, string>()
  for (const name of names) {
    const given = env[fileVariable(name)]
    if (given === undefined) continue
    const path = resolve(root, given)
    paths.set(name, path)
    if (env[name] !== undefined) {
      problems.set(name, `${name} and ${fileVariable(name)} are both set; set one of them`)
      continue
    }
    try {
      read[name] = readSecret(path)
    } catch (error) {
      problems.set(name, `${fileVariable(name)} names ${path}, which ${reasonOf(error)}`)
    }
  }
  return { env: read, paths, problems }
}

const lengthMax = 65_536

/** Reads a secret without the line breaks at its end, which editors and `echo` add. */
function readSecret (path: string): string {
  // Opening does not block, so that a named pipe without a writer does not hang the start.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!fstatSync(file).isFile()) throw new UnfitFile('is not a file')
    const buffer = Buffer.alloc(lengthMax + 1)
    let length = 0
    for (let count = -1; count !== 0 && length < buffer.length; length += count) count = readSync(file, buffer, length, buffer.length - length, null)
    if (length > lengthMax) throw new UnfitFile(`is longer than ${lengthMax} bytes`)
    const text = decode(buffer.subarray(0, length))
    let end = text.length
    while (text[end - 1] === '\n' || text[end - 1] === '\r') end--
    if (end === 0) throw new UnfitFile('is empty')
    return text.slice(0, end)
  } finally {
    closeSync(file)
  }
}

function decode (bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new UnfitFile('is not UTF-8 text', { cause })
  }
}

class UnfitFile extends Error {}

const reasons: Record<string, string> = { ENOENT: 'is not there', EACCES: 'this user may not read', EISDIR: 'is a folder' }

function reasonOf (error: unknown): string {
  if (error instanceof UnfitFile) return error.message
  const { code = '', message } = error as NodeJS.ErrnoException
  return reasons[code] ?? `cannot be read: ${message}`
}
