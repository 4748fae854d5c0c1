// A prepared database with an admin, and access rooms on it, for the tests of this folder.

import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { createPasswords } from '../../core/access/credential/password.ts'
import { createAccess, prepareAccess, syncPermissions } from '../../core/access/index.ts'
import type { AccessParts, AccessModule } from '../../core/access/index.ts'
import type { Log, Postgres, User, Valkey } from '../../core/contract/index.ts'
import type { ValkeyClient } from '../../core/resources/valkey/valkey-client.ts'
import { openValkey } from '../../core/resources/valkey/valkey-resource.ts'
import { createDatabase } from '../support/database.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import { clock, createLog, openParts } from '../support/part.ts'
import { openTestPostgres } from '../support/postgres.ts'
import { undo } from '../support/undo.ts'

export const adminPassword = 'correct horse battery'
/** Far below the real cost, where the cost is not what is tested. */
const cheap = { memoryCost: 64, timeCost: 1, parallelism: 1 }
export const cheapPasswords = createPasswords(clock, cheap)
export const cheapHash = await cheapPasswords.hash(adminPassword)
export const origin = { address: '192.0.2.7', userAgent: 'a test' }

type Row = Record<string, unknown>

export interface Database {
  readonly url: string
  readonly postgres: Postgres
  /** Asks beside the host, as an operator with psql. */
  rows (query: string, values?: readonly unknown[]): Promise<Row[]>
  /** Another host's connections to it. */
  connect (options?: { session?: string }): Promise<Postgres>
}

export interface House extends Database {
  readonly clock: FakeClock
  /** Another replica on the same database; all share one Valkey unless said. */
  openRoom (parts?: { valkey?: Valkey, log?: Log, postgres?: Postgres } & Pick<AccessParts, 'sessionIdleMs' | 'passwords' | 'findCallerId'>): Promise<AccessModule>
  /** With the admin's password. */
  addUser (name: string): Promise<string>
}

/** With the tables of the host, without users and before the first start. */
export async function openDatabase (t: TestContext): Promise<Database> {
  const url = await createDatabase(t, { migrated: 'core' })

  const connect: Database['connect'] = async ({ session } = {}) => {
    const withOptions = new URL(url)
    if (session !== undefined) withOptions.searchParams.set('options', session)
    const { postgres } = await openTestPostgres(t, { url: withOptions.href, poolMax: 10, acquireQueueMax: 1_000 })
    return postgres
  }
  const operator = new pg.Client(url)
  await operator.connect()
  undo(t, () => operator.end())
  return {
    url,
    postgres: await connect(),
    rows: async (query, values = []) => (await operator.query<Row>(query, [...values])).rows,
    connect
  }
}

export async function openHouse (t: TestContext): Promise<House> {
  const database = await openDatabase(t)
  const { postgres, rows } = database
  await prepareAccess(postgres)
  await syncPermissions(postgres, [])
  const addUser: House['addUser'] = async name => {
    const [row] = await rows('insert into users (name, email, password_hash) values ($1, $2, $3) returning id', [name, `${name}@localhost`, cheapHash])
    return String(row?.id)
  }
  await rows('insert into user_roles (user_id, role_id) select $1, id from roles where name = \'admin\'', [await addUser('admin')])
  const clock = createFakeClock(Date.now())
  const scope = `test-${randomUUID()}`

  return {
    ...database,
    clock,
    openRoom: async ({ valkey, log = createLog(), postgres: own = postgres, ...rest } = {}) => {
      const shared = valkey ?? (await openTestValkey(t)).scoped(scope)
      const room = await createAccess({ postgres: own, valkey: shared, log, clock, passwords: cheapPasswords, ...rest })
      undo(t, () => room.close())
      return room
    },
    addUser
  }
}

/** Closed after the test. */
export async function openTestValkey (t: TestContext, url = process.env['TEST_VALKEY_URL'] ?? ''): Promise<ValkeyClient> {
  const { value, close } = await openValkey({ url, commandTimeoutMs: 10_000, connectTimeoutMs: 10_000 }, openParts())
  undo(t, close)
  return value
}

export const signIn = (room: AccessModule): Promise<{ token: string, user: User }> => signInAs(room, 'admin')

/** Gives the session's token and the user behind it. */
export async function signInAs (room: AccessModule, name: string): Promise<{ token: string, user: User }> {
  const { token } = await room.access.login({ name, password: adminPassword }, origin)
  const user = await room.authenticate(token)
  if (user === undefined) throw new Error('nobody is behind a new session')
  return { token, user }
}

/** Behind the back of the rooms, as are the two below: they learn of it by the epoch. */
export async function addProject ({ rows }: House, name: string): Promise<string> {
  const [row] = await rows('insert into projects (name, owner_id) select $1, id from users where name = \'admin\' returning id', [name])
  return String(row?.id)
}

export const assign = ({ rows }: House, userId: string, role: string, projectId: string | null = null): Promise<unknown> =>
  rows('insert into user_roles (user_id, role_id, project_id) select $1, id, $3 from roles where name = $2', [userId, role, projectId])

export const bumpEpoch = ({ rows }: House): Promise<unknown> => rows('update bulkhead.access_epoch set value = value + 1')

/** Counts what is asked of the database. */
export function counting (postgres: Postgres): { postgres: Postgres, readonly count: number } {
  let count = 0
  return {
    postgres: new Proxy(postgres, {
      get: (target, method: keyof Postgres) => (...args: unknown[]) => {
        count++
        return (target[method] as (...args: unknown[]) => unknown)(...args)
      }
    }),
    get count () { return count }
  }
}
