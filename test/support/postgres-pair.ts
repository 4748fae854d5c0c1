// A primary and its standby, both real, that a test promotes, demotes and stops.

import { execFile } from 'node:child_process'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import pg from 'pg'
import { openEmbeddedPostgres } from '../../core/resources/embedded/embedded-postgres.ts'
import { findPostgresBinaries } from '../../core/resources/embedded/postgres-binary.ts'
import { launchServer, stopServer } from '../../core/resources/embedded/postgres-process.ts'
import { chooseServerUser } from '../../core/resources/embedded/server-user.ts'
import { clock, openParts } from './part.ts'
import { undo } from './undo.ts'
import { until } from './until.ts'

export interface Pair {
  /** Names the first server, which is the primary at the beginning. */
  readonly url: string
  readonly ports: { readonly first: number, readonly second: number }
  /** Stops the first server and makes the second one the primary; resolves once that takes writes. */
  failOver (): Promise<void>
  /** Starts the first server again, as a standby of the second. */
  returnAsStandby (): Promise<void>
  /** Asks one of the two servers directly. */
  ask (port: number, text: string): Promise<Record<string, unknown>[]>
}

const free = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/** The second server is a copy of the first and streams from it. */
export async function startPair (t: TestContext): Promise<Pair> {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-pair-'))
  undo(t, () => rm(folder, { recursive: true }))
  const made = await openEmbeddedPostgres({ dataPath: join(folder, 'first'), parameters: { fsync: 'off' } }, openParts())
  const { url } = made.value
  const { username: user, password, pathname } = new URL(url)
  await made.close()
  await appendFile(join(folder, 'first', 'postgres', 'pg_hba.conf'), 'host replication all 127.0.0.1/32 scram-sha-256\n')
  await promisify(execFile)('cp', ['-a', join(folder, 'first'), join(folder, 'second')])

  const { postgres } = await findPostgresBinaries()
  const serverUser = await chooseServerUser(undefined, [postgres, dirname(postgres), folder])
  const ports = { first: Number(new URL(url).port), second: await free() }
  const running = new Map<string, number>()
  const start = async (name: 'first' | 'second'): Promise<void> => {
    const parameters = { listen_addresses: '127.0.0.1', port: `${ports[name]}`, unix_socket_directories: '', fsync: 'off' }
    const data = join(folder, name, 'postgres')
    running.set(name, await launchServer({ postgres, data, logPath: join(folder, name, 'postgres.log'), user: serverUser, parameters }, openParts()))
  }
  const stop = async (name: string): Promise<void> => {
    const pid = running.get(name)
    running.delete(name)
    if (pid !== undefined) await stopServer(pid, clock)
  }
  const follow = async (name: 'first' | 'second', port: number): Promise<void> => {
    const data = join(folder, name, 'postgres')
    await writeFile(join(data, 'standby.signal'), '')
    await appendFile(join(data, 'postgresql.auto.conf'), `primary_conninfo = 'host=127.0.0.1 port=${port} user=${user} password=${password}'\n`)
    await start(name)
  }
  const ask = async (port: number, text: string): Promise<Record<string, unknown>[]> => {
    const client = new pg.Client({ host: '127.0.0.1', port, user, password, database: pathname.slice(1) })
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(text)).rows
    } finally {
      await client.end()
    }
  }
  undo(t, async () => { for (const name of running.keys()) await stop(name) })
  await start('first')
  await follow('second', ports.first)
  await until(async () => (await ask(ports.first, 'SELECT FROM pg_stat_replication WHERE state = \'streaming\'')).length === 1)
  return {
    url,
    ports,
    ask,
    failOver: async () => {
      await stop('first')
      await ask(ports.second, 'SELECT pg_promote()')
      await until(async () => (await ask(ports.second, 'SELECT pg_is_in_recovery() AS standby'))[0]?.['standby'] === false)
    },
    returnAsStandby: () => follow('first', ports.second)
  }
}
