// A folder of migrations for a test, and a look at what they did.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectClient, type Client } from '../../../core/resources/postgres/postgres-client.ts'

export interface Folder {
  readonly path: string
  write (files: Record<string, string | Uint8Array>): void
  remove (...names: string[]): void
}

export function createFolder (t: TestContext, files: Record<string, string | Uint8Array> = {}): Folder {
  const path = mkdtempSync(join(tmpdir(), 'bulkhead-migrations-'))
  t.after(() => rmSync(path, { recursive: true }))
  const folder: Folder = {
    path,
    write: files => { for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text) },
    remove: (...names) => { for (const name of names) rmSync(join(path, name)) }
  }
  folder.write(files)
  return folder
}

export async function connect (t: TestContext, url: string): Promise<Client> {
  const client = await connectClient({ url, applicationName: 'test', searchPath: 'public', connectTimeoutMs: 20_000 })
  t.after(() => client.end())
  return client
}

/** What a query gives, one column after the other, row by row. */
export async function select (url: string, text: string): Promise<unknown[]> {
  const client = await connectClient({ url, applicationName: 'test', searchPath: 'public', connectTimeoutMs: 20_000 })
  try {
    return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows.flat()
  } finally {
    await client.end()
  }
}

/** Resolves once the query gives a row; rejects when that takes ten seconds. */
export async function until (url: string, text: string): Promise<void> {
  const deadline = Date.now() + 10_000
  while ((await select(url, text)).length === 0) {
    if (Date.now() > deadline) throw new Error(`no row within ten seconds: ${text}`)
    await sleep(20)
  }
}

export const tablesOf = (url: string, schema = 'public'): Promise<unknown[]> =>
  select(url, `select table_name::text from information_schema.tables where table_schema = '${schema}' order by 1`)
