// The PostgreSQL of a test run: the host's own embedded server, in a folder that goes with it.

import { spawn } from 'node:child_process'
import { mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEmbeddedPostgres } from '../../core/resources/embedded/embedded-postgres.ts'
import type { TestServer } from './global-setup.ts'
import { openParts } from './part.ts'

// Nothing here outlives the run, so nothing needs to reach the disk.
const parameters = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300', max_wal_size: '256MB', autovacuum: 'off' }

/** Linux has a file system in memory there. */
const inMemory = '/dev/shm'
/** A run needs a fraction of it. */
const roomBytes = 2 * 1_024 ** 3

/** A database is some hundred files, and every test has its own: on a disk, making and dropping them costs more than the tests do. */
async function findRoom (): Promise<string> {
  try {
    const { bavail, bsize } = await statfs(inMemory)
    return bavail * bsize >= roomBytes ? inMemory : tmpdir()
  } catch {
    // It is not there, or not for us.
    return tmpdir()
  }
}

export async function start (): Promise<TestServer> {
  const folder = await mkdtemp(join(await findRoom(), 'bulkhead-postgres-'))
  const server = await openEmbeddedPostgres({ dataPath: folder, parameters }, openParts())
  // Reads until this process ends, however it ends; then nobody else is left to stop the server.
  const script = 'read -r _; kill -INT "$1"; while kill -0 "$1" 2>/dev/null; do sleep 0.1; done; rm -rf "$2"'
  const watcher = spawn('sh', ['-c', script, 'sh', `${server.value.pid}`, folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  watcher.unref()
  return {
    env: { TEST_DATABASE_URL: server.value.url },
    stop: async () => {
      watcher.kill()
      await server.close()
      await rm(folder, { recursive: true })
    }
  }
}
