// Chooses the user that the embedded PostgreSQL runs as: the host's own user, except that PostgreSQL refuses to run as
// root.

import { readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface ServerUser {
  /** Words that go before a command so that it runs as this user. */
  readonly prefix: readonly string[]
  /** User and group for `spawn`; empty when `prefix` switches the user, or when no switch is needed. */
  readonly credentials: { uid?: number, gid?: number }
  /** Owner of the data folder; undefined for the host's own user. */
  readonly owner: { uid: number, gid: number } | undefined
}

// Other users cannot enter a checkout under /root. With the capability `dac_override` the server can enter closed
// folders, and their permissions stay as they are. The secure bit makes access(2) respect the capability too: the
// programs call access(2) before they run each other.
const setpriv = '/usr/bin/setpriv'
const passClosedFolders = ['--inh-caps=+dac_override', '--ambient-caps=+dac_override', '--securebits=+no_setuid_fixup']

/**
 * `dataOwner` is the uid that owns the existing data. `reads` lists every path that the server must be able to reach.
 */
export async function chooseServerUser (dataOwner: number | undefined, reads: readonly string[]): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return { prefix: [], credentials: {}, owner: undefined }
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map(line => line.split(':'))
    .map(([name, , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
  const user = users.find(({ uid }) => uid !== 0 && uid === dataOwner) ??
    users.find(({ name }) => name === 'postgres') ?? users.find(({ name }) => name === 'nobody')
  if (user === undefined) {
    throw new Error('PostgreSQL does not run as root, and /etc/passwd has neither the user postgres nor the user nobody to run it as. ' +
      'Start the host as another user, or set DATABASE_URL.')
  }
  const owner = { uid: user.uid, gid: user.gid }
  const closed = (await Promise.all(reads.map(path => findClosed(path, user)))).find(path => path !== undefined)
  if (closed === undefined) return { prefix: [], credentials: owner, owner }
  if (await stat(setpriv).then(() => true, () => false)) {
    const prefix = [setpriv, `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', ...passClosedFolders]
    return { prefix, credentials: {}, owner }
  }
  throw new Error(`PostgreSQL does not run as root, and ${closed} is closed to the user it would run as (${user.name}). ` +
    `Start the host as another user, move the project, run \`chmod o+rx ${closed}\`, or set DATABASE_URL.`)
}

async function findClosed (path: string, user: { uid: number, gid: number }, needed = 0o5): Promise<string | undefined> {
  const { mode, uid, gid } = await stat(path)
  const bits = (mode >> (uid === user.uid ? 6 : gid === user.gid ? 3 : 0)) & needed
  if (bits !== needed) return path
  return path === dirname(path) ? undefined : findClosed(dirname(path), user, 0o1)
}
