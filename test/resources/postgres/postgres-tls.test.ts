// TLS to a real PostgreSQL: by the URL alone, and not with a server that there is no reason to trust.

import assert from 'node:assert/strict'
import { chmod, chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql, z } from '../../../core/contract/index.ts'
import { openEmbeddedPostgres } from '../../../core/resources/embedded/embedded-postgres.ts'
import { chooseServerUser } from '../../../core/resources/embedded/server-user.ts'
import { migrateAll } from '../../../core/resources/migrations/migrations.ts'
import { openPostgres } from '../../../core/resources/postgres/postgres-resource.ts'
import { createCertificate } from '../../support/certificate.ts'
import { temporaryFolder } from '../../support/host.ts'
import { clock, createLog, openParts } from '../../support/part.ts'
import { openTestPostgres, postgresSettings } from '../../support/postgres.ts'
import { undo } from '../../support/undo.ts'

test('verify-full with the CA encrypts pool and migrations, and refuses an unknown certificate', async (t) => {
  const folder = await temporaryFolder(t)
  const [keyPath, certPath] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const { key, cert } = createCertificate()
  await writeFile(keyPath, key, { mode: 0o600 })
  await writeFile(certPath, cert)
  await chmod(folder, 0o755)
  const { owner } = await chooseServerUser(undefined, [folder])
  if (owner !== undefined) await chown(keyPath, owner.uid, owner.gid)
  const server = await openEmbeddedPostgres({ dataPath: join(folder, 'data'), parameters: { fsync: 'off', ssl: 'on', ssl_cert_file: certPath, ssl_key_file: keyPath } }, openParts())
  undo(t, () => server.close())

  const [plain, verified] = [new URL(server.value.url), new URL(server.value.url)]
  verified.searchParams.set('sslmode', 'verify-full')
  await assert.rejects(openPostgres({ ...postgresSettings, url: verified.href }, openParts()), {
    message: /self-signed certificate.*Its certificate is not trusted: add sslrootcert=/
  })
  verified.searchParams.set('sslrootcert', certPath)
  const { postgres } = await openTestPostgres(t, { url: plain.href })
  const encrypted = async (name: string): Promise<readonly boolean[]> => postgres.anyFirst(sql.type(z.object({ ssl: z.boolean() }))`
    select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) where application_name = ${name}
  `)
  assert.deepEqual(await encrypted('bulkhead'), [false])
  await openTestPostgres(t, { url: verified.href })
  assert.deepEqual((await encrypted('bulkhead')).toSorted(), [false, true])

  await migrateAll({ url: verified.href, sets: [{ owner: 'core', folder: join(import.meta.dirname, '../../../migrations'), schema: 'public' }], log: createLog(), clock })
})
