// A Valkey or Redis server for the tests: the machine's own, else Debian's package unpacked into a cache folder. Nothing is installed.

import { findProgram } from './debian-program.ts'
import type { TestServer } from './global-setup.ts'
import { freePort, startServer } from './process.ts'
import type { ServerProcess } from './process.ts'

export async function start (): Promise<TestServer> {
  const port = await freePort()
  const server = await startValkeyServer(port)
  return { env: { TEST_VALKEY_URL: `redis://127.0.0.1:${port}` }, stop: () => server.stop() }
}

/** A server of the test's own, which it may freeze, end and start again on the same port. */
export async function startValkeyServer (port: number, args: string[] = []): Promise<ServerProcess> {
  const { command, env } = await findProgram({ names: ['valkey-server', 'redis-server'], package: 'redis-server', path: 'usr/bin/redis-server', needs: 'a Valkey or Redis server' })
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...args]
  return startServer(command, options, {
    ready: /Ready to accept connections/,
    env
  })
}
