// An S3 server for the tests, which checks signatures: s3rver in a process of its own, over a folder that goes with it.

import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { TestServer } from './global-setup.ts'
import { startServer } from './process.ts'

export async function start (): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-s3-'))
  await mkdir(join(folder, 'platform'))
  const accessKey = randomBytes(10).toString('hex')
  const secretKey = randomBytes(20).toString('hex')
  const env = { S3_FOLDER: folder, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey }
  let port = ''
  const ready = { test: (output: string): boolean => { port = /listening on (\d+)/.exec(output)?.[1] ?? ''; return port !== '' } }
  // Its MD5 comes from a package that OpenSSL 3 knows only as legacy.
  const server = await startServer(process.execPath, ['--openssl-legacy-provider', import.meta.filename], { ready, env, folder })
  return {
    env: {
      TEST_S3_ENDPOINT: `http://127.0.0.1:${port}`, TEST_S3_ACCESS_KEY: accessKey, TEST_S3_SECRET_KEY: secretKey, TEST_S3_FOLDER: folder
    },
    stop: () => server.stop()
  }
}

/** A bucket of the test's own. To s3rver a bucket is a folder. */
export async function createBucket (t: TestContext): Promise<string> {
  const root = process.env.TEST_S3_FOLDER
  if (root === undefined) throw new Error('TEST_S3_FOLDER is not set: run the tests with --test-global-setup=test/support/global-setup.ts')
  const bucket = `test-${randomBytes(8).toString('hex')}`
  await mkdir(join(root, bucket))
  t.after(() => rm(join(root, bucket), { recursive: true, force: true }))
  return bucket
}

async function serve (): Promise<void> {
  const { S3_FOLDER: directory, S3_ACCESS_KEY: accessKey = '', S3_SECRET_KEY: secretKey = '' } = process.env
  const require = createRequire(import.meta.url)
  const S3rver = require('@20minutes/s3rver') as new (options: object) => { run (): Promise<{ port: number }> }
  const account = require('@20minutes/s3rver/lib/models/account.js') as
    { DUMMY_ACCOUNT: { createKeyPair (id: string, secret: string): void, revokeAccessKey (id: string): void } }
  account.DUMMY_ACCOUNT.revokeAccessKey('S3RVER')
  account.DUMMY_ACCOUNT.createKeyPair(accessKey, secretKey)
  const { port } = await new S3rver({ directory, address: '127.0.0.1', port: 0, silent: true }).run()
  console.log(`listening on ${port}`)
}

if (import.meta.main) await serve()
