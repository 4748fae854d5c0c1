// A change of the master key reaches the secrets of webhooks, and one that cannot be opened does not stand in its way.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { sql, z } from '../../../core/contract/index.ts'
import { createEncryption } from '../../../core/encryption/index.ts'
import { registerBulkhead } from '../../../core/plugin-runtime/index.ts'
import { createDatabase } from '../../support/database.ts'
import { createLog } from '../../support/part.ts'
import { openTestPostgres } from '../../support/postgres.ts'

registerBulkhead()

test('secrets under the key before are counted and sealed anew', async (t) => {
  const { contextOf, keepSecrets } = await import('../../../plugins/projects/webhook.ts')
  const { plugin: postgres } = await openTestPostgres(t, { url: await createDatabase(t, { migrated: 'plugins' }) })
  const [before, now] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const old = createEncryption({ key: before, previous: undefined }).scoped('projects')
  const room = createEncryption({ key: now, previous: before })
  const encryption = room.scoped('projects')
  const entries: { err?: Error }[] = []
  keepSecrets({ postgres, encryption, log: createLog(entries) })
  const [{ sealed } = assert.fail()] = room.kept()

  const project = await postgres.oneFirst(sql.type(z.object({ id: z.uuid() }))`
    with owner as (insert into users (name, email, password_hash) values ('ada', 'ada@example.org', '-') returning id)
    insert into projects (owner_id, name) select id, 'p' from owner returning id
  `)
  const add = async (secret: (id: string) => Buffer | null): Promise<string> => {
    const id = randomUUID()
    await postgres.query(sql.unsafe`insert into webhooks (id, project_id, url, secret) values (${id}, ${project}, 'https://a/', ${secret(id)?.toString('base64') ?? null})`)
    return id
  }
  const ids = [await add(id => old.seal('one', contextOf(id))), await add(id => old.seal('two', contextOf(id))), await add(id => encryption.seal('three', contextOf(id)))]
  await add(() => null)
  // Taken from another row.
  const swapped = await add(() => old.seal('one', contextOf(ids[0] ?? '')))

  assert.equal(await sealed.pending(encryption.keyId), 3)
  let written = 0
  for (let round = 0; round < 50 && written < 2; round++) written += await sealed.rewrap(encryption.keyId, 1)
  assert.deepEqual([written, await sealed.pending(encryption.keyId), await sealed.rewrap(encryption.keyId, 10)], [2, 1, 0])
  assert.ok(entries.some(({ err }) => err?.name === 'SealBroken'))

  const alone = createEncryption({ key: now, previous: undefined }).scoped('projects')
  const open = async (id: string): Promise<string> => {
    const secret = await postgres.oneFirst(sql.type(z.object({ secret: z.string() }))`select coalesce(secret, '') as secret from webhooks where id = ${id}`)
    return alone.open(Buffer.from(secret, 'base64'), contextOf(id)).toString()
  }
  assert.deepEqual(await Promise.all(ids.map(open)), ['one', 'two', 'three'])
  await assert.rejects(open(swapped), { code: 'BULKHEAD_SEAL_BROKEN' })
})
