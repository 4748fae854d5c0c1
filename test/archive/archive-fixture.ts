// Archives until it is done or dies: `archiver.ts <database URL> <folder> <source> [before write | after write | before commit]`.

import { recordAudit } from '../../core/access/audit/audit-log.ts'
import { archive, type Source } from '../../core/archive/archiver.ts'
import type { Storage } from '../../core/contract/index.ts'
import { openPostgres } from '../../core/resources/postgres/postgres-resource.ts'
import { openStorage } from '../../core/resources/storage/storage-resource.ts'
import { createLog, openParts } from '../support/part.ts'
import { postgresSettings } from '../support/postgres.ts'

const [, , url = '', path = '', source = '', deathAt] = process.argv
const die = async (): Promise<never> => {
  process.kill(process.pid, 'SIGKILL')
  return Promise.withResolvers<never>().promise
}
const { value: { host: postgres } } = await openPostgres({ ...postgresSettings, url }, openParts())
const host = (await openStorage({ kind: 'folder', path }, openParts())).value.scoped('host')
const storage: Storage = Object.assign(Object.create(host) as Storage, {
  write: async (...args: Parameters<Storage['write']>) => {
    if (deathAt === 'before write') await die()
    await host.write(...args)
    if (deathAt === 'after write') await die()
  },
  read: (key: string) => host.read(key)
})
const audit = { record: async (...args: Parameters<typeof recordAudit>) => deathAt === 'before commit' ? die() : recordAudit(...args) }
await archive({ postgres, storage, audit }, { source: source as Source, olderThanDays: 40, signal: new AbortController().signal, log: createLog() })
process.exit(0)
