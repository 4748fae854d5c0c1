// Starts one server of each kind for the whole test run; tests find them through the environment.

import { join } from 'node:path'
import { start as startPostgres } from './postgres-server.ts'
import { start as startS3 } from './s3-server.ts'
import { start as startValkey } from './valkey-server.ts'

export interface TestServer {
  /** Merged into the environment of every test process. */
  env: Record<string, string>
  stop (): Promise<void>
}

const servers: TestServer[] = []

export async function globalSetup (): Promise<void> {
  // A third of the time in which a test file loads is spent on compiling what the one before it compiled.
  process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, '../../node_modules/.cache/node')
  const started = await Promise.allSettled([startPostgres(), startValkey(), startS3()])
  for (const result of started) {
    if (result.status === 'fulfilled') { servers.push(result.value); Object.assign(process.env, result.value.env) }
  }
  const failures = started.flatMap(result => result.status === 'rejected' ? [result.reason as unknown] : [])
  if (failures.length > 0) {
    await globalTeardown()
    throw new AggregateError(failures, failures.map(String).join('\n'))
  }
}

export async function globalTeardown (): Promise<void> {
  await Promise.allSettled(servers.map(server => server.stop()))
}
