// Keeps names and e-mail addresses of users unique without regard to case, in a table beside `users`. Its primary key refuses
// a second user with the same name or address. By this table, sign-in finds a name in any case with one lookup.

import { Conflict, sql, z } from '../../contract/index.ts'
import type { Log, Postgres, Transaction } from '../../contract/index.ts'
import { emailKeyOf, nameKeyOf } from '../common/identifier.ts'

const kinds = ['name', 'email'] as const
type Kind = (typeof kinds)[number]

interface Named { readonly id: string, readonly name: string, readonly email: string }

const keyOf = (kind: Kind, value: string): string => kind === 'name' ? nameKeyOf(value) : emailKeyOf(value)

const taken: Readonly<Record<Kind, string>> = {
  name: 'There is a user of this name already.',
  email: 'There is a user with this e-mail address already.'
}

/**
 * Adds the users that an earlier version wrote, or writes while this version runs.
 * `rank` is 0, except for users whose key another user already had when this function added them.
 * A row is ignored when its `value` is not what its user has now.
 */
export async function prepareUserKeys (postgres: Postgres): Promise<void> {
  if (!await hasMissing(postgres)) return
  await postgres.transaction(async tx => {
    // Hosts that start at the same time do this one after the other.
    await tx.query(sql.type(z.object({ isLocked: z.boolean() }))`
      select true as "isLocked" from pg_advisory_xact_lock(hashtextextended('bulkhead user keys', 0))
    `)
    await addPlain(tx)
    await addOthers(tx)
  })
}

const hasMissing = (queries: Pick<Postgres, 'oneFirst'>): Promise<boolean> => queries.oneFirst(sql.type(z.object({ hasMissing: z.boolean() }))`
  select exists (
    select from public.users u where not exists (select from bulkhead.user_key k where k.kind = 'name' and k.user_id = u.id and k.value = u.name)
  ) or exists (
    select from public.users u where not exists (select from bulkhead.user_key k where k.kind = 'email' and k.user_id = u.id and k.value = u.email)
  ) as "hasMissing"
`)

/** Adds all names and all ASCII addresses, in one statement however many there are. */
async function addPlain (tx: Transaction): Promise<void> {
  await tx.query(sql.type(z.object({}))`
    insert into bulkhead.user_key (kind, key, rank, user_id, value)
    select
      m.kind, m.key,
      coalesce((select max(k.rank) + 1 from bulkhead.user_key k where k.kind = m.kind and k.key = m.key), 0)
        + row_number() over (partition by m.kind, m.key order by m.created_at, m.id) - 1,
      m.id, m.value
    from (
      select 'name' as kind, lower(name collate "C") as key, id, name as value, created_at from public.users
      union all
      select 'email', lower(email collate "C"), id, email, created_at from public.users where octet_length(email) = char_length(email)
    ) as m
    where not exists (select from bulkhead.user_key k where k.kind = m.kind and k.user_id = m.id and k.value = m.value)
  `)
}

const batchSize = 5_000

async function addOthers (tx: Transaction): Promise<void> {
  for (;;) {
    const missing = await tx.any(sql.type(z.object({ id: z.uuid(), email: z.string() }))`
      select id, email from public.users u
      where octet_length(email) > char_length(email)
        and not exists (select from bulkhead.user_key k where k.kind = 'email' and k.user_id = u.id and k.value = u.email)
      order by created_at, id limit ${batchSize}
    `)
    for (const { id, email } of missing) {
      await tx.query(sql.type(z.object({}))`
        insert into bulkhead.user_key (kind, key, rank, user_id, value)
        select 'email', ${emailKeyOf(email)}, coalesce(max(rank) + 1, 0), ${id}, ${email}
        from bulkhead.user_key where kind = 'email' and key = ${emailKeyOf(email)}
      `)
    }
    if (missing.length < batchSize) return
  }
}

const pairsShown = 20

/**
 * Warns the operator of users whose names or addresses differ only in case.
 * Users whose names differ only in case sign in by the exact name alone.
 */
export async function warnOfPairs (postgres: Postgres, log: Log): Promise<void> {
  const rows = await postgres.any(sql.type(z.object({ kind: z.enum(kinds), key: z.string(), id: z.uuid(), value: z.string() }))`
    select k.kind, k.key, k.user_id as id, k.value
    from bulkhead.user_key k join public.users u on u.id = k.user_id and k.value = case k.kind when 'name' then u.name else u.email end
    where (k.kind, k.key) in (select kind, key from bulkhead.user_key where rank > 0)
    order by k.kind desc, k.key, k.rank
  `)
  const pairs = [...Map.groupBy(rows, ({ kind, key }) => `${kind} ${key}`).values()].filter(({ length }) => length > 1)
  for (const pair of pairs.slice(0, pairsShown)) {
    const users = pair.map(({ id, value }) => ({ id, value }))
    const [thing, so] = pair[0]?.kind === 'name' ? ['names', 'Each signs in with the name as it is written here. '] : ['e-mail addresses', '']
    log.warn({ users }, `${pair.length} users have ${thing} that differ only in case: ${users.map(({ value }) => JSON.stringify(value)).join(', ')}. ` +
      `${so}No more of them can be made. Change all but one with PATCH /api/users/<id>.`)
  }
  if (pairs.length > pairsShown) log.warn({ pairs: pairs.length }, `${pairs.length - pairsShown} more groups of users have names or e-mail addresses that differ only in case`)
}

/**
 * Throws `Conflict` when another user has the name or the address, in any case. A null is not checked.
 * The check also finds users that a replica of an earlier version wrote without a key. For that it reads all users,
 * which is acceptable because names and addresses change seldom.
 */
export async function assertFree (
  tx: Transaction, { name, email }: { name: string | null, email: string | null }, exceptId: string | null
): Promise<void> {
  if (name === null && email === null) return
  const nameKey = name === null ? null : nameKeyOf(name)
  const emailKey = email === null ? null : emailKeyOf(email)
  const found = await tx.any(sql.type(z.object({ name: z.string(), email: z.string() }))`
    select name, email from public.users
    where id is distinct from ${exceptId}::uuid and (
      lower(name collate "C") = ${nameKey} or lower(email collate "C") = ${emailKey} or email = ${email}
      or id in (select user_id from bulkhead.user_key where kind = 'email' and key = ${emailKey})
    )
  `)
  if (found.some(other => nameKeyOf(other.name) === nameKey)) throw new Conflict(taken.name)
  if (found.some(other => emailKeyOf(other.email) === emailKey)) throw new Conflict(taken.email)
}

/**
 * Adds the keys of a new user. Every transaction that creates a user calls this.
 * When two calls add the same key at the same time, one is refused.
 */
export async function addUserKeys (tx: Transaction, { id, name, email }: Named): Promise<void> {
  await addKey(tx, 'name', id, name)
  await addKey(tx, 'email', id, email)
}

/** Replaces the keys that have changed. Every transaction that changes a user's name or address calls this. */
export async function moveUserKeys (tx: Transaction, before: Named, after: Named): Promise<void> {
  for (const kind of kinds) {
    if (before[kind] === after[kind]) continue
    await tx.query(sql.type(z.object({}))`
      delete from bulkhead.user_key where kind = ${kind} and key = ${keyOf(kind, before[kind])} and user_id = ${before.id}
    `)
    await addKey(tx, kind, after.id, after[kind])
  }
}

async function addKey (tx: Transaction, kind: Kind, id: string, value: string): Promise<void> {
  const key = keyOf(kind, value)
  // A replica of an earlier version leaves the old key behind when it changes a user. Such keys are deleted here.
  await tx.query(sql.type(z.object({}))`
    delete from bulkhead.user_key k where k.kind = ${kind} and k.key = ${key} and not exists (
      select from public.users u where u.id = k.user_id and k.value = case k.kind when 'name' then u.name else u.email end
    )
  `)
  const rank = await tx.maybeOneFirst(sql.type(z.object({ rank: z.int() }))`
    insert into bulkhead.user_key (kind, key, rank, user_id, value) values (${kind}, ${key}, 0, ${id}, ${value}) on conflict do nothing returning rank
  `)
  if (rank === null) throw new Conflict(taken[kind])
}
