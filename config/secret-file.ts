// Secrets from files: a setting that is sensitive may be named by `<VARIABLE>_FILE`, as Docker, systemd and Kubernetes mount them.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { resolve } from 'node:path'

/** Names the variable that names the file of a secret. */
export const fileVariable = (env: string): string => `${env}_FILE`

export interface SecretFiles {
  /** The variables, with what the files hold in the place of their names. */
  readonly env: Readonly<Record<string, string>>
  /** The path that was named, by the variable it stands for; also where the file could not be read. */
  readonly paths: ReadonlyMap<string, string>
  /** Sentences, by the variable that the file stands for. */
  readonly problems: ReadonlyMap<string, string>
}

/** `names` are the variables that may come from a file. Relative paths are relative to `root`. */
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

/** Leaves out the line breaks at the end, which editors and `echo` add. */
function readSecret (path: string): string {
  // Without waiting, so that a pipe nobody writes to does not hold the start.
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
