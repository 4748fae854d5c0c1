// From which network someone comes, and where each user has signed in from before: what others do elsewhere does not keep them out there.

import { isIP, isIPv6 } from 'node:net'
import { sql, z } from '../../contract/index.ts'
import type { Clock, Origin, Transaction } from '../../contract/index.ts'

/** Long enough for those who sign in on the first of every other month. */
const rememberedForMs = 90 * 86_400_000
/** An attacker who has the password could otherwise fill the table. */
const networksMax = 50

/** Without a zone (`fe80::1%eth0`), which Postgres does not take. Null when it is no address. */
export function addressOf (origin: Pick<Origin, 'address'> | undefined): string | null {
  const [plain = ''] = (origin?.address ?? '').split('%')
  return isIP(plain) === 0 ? null : plain
}

/** An IPv4 address, or the first 64 bits of an IPv6 address: whoever has one address in there has all of them. Null when it is not known. */
export function networkOf (origin: Pick<Origin, 'address'>): string | null {
  const address = addressOf(origin)
  if (address === null || !isIPv6(address)) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  const [head = '', tail] = address.split('::')
  const groupsOf = (text: string): string[] => text === '' ? [] : text.split(':').flatMap(group => group.includes('.') ? ['0', '0'] : [group])
  const front = groupsOf(head)
  const back = tail === undefined ? [] : groupsOf(tail)
  const all = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => '0'), ...back]
  return `${all.slice(0, 4).map(group => Number.parseInt(group, 16).toString(16)).join(':')}::/64`
}

/** Part of signing in: from now on this user is known there. */
export async function rememberNetwork (tx: Transaction, clock: Clock, userId: string, network: string | null): Promise<void> {
  if (network === null) return
  const now = new Date(clock.now()).toISOString()
  await tx.query(sql.type(z.object({}))`
    insert into bulkhead.known_network (user_id, network, seen_at) values (${userId}, ${network}, ${now})
    on conflict (user_id, network) do update set seen_at = excluded.seen_at
  `)
  await tx.query(sql.type(z.object({}))`
    delete from bulkhead.known_network k
    where k.user_id = ${userId} and (
      k.seen_at <= ${rememberedSince(clock)}
      or k.network not in (select network from bulkhead.known_network where user_id = ${userId} order by seen_at desc limit ${networksMax})
    )
  `)
}

/** What was seen before this is forgotten. */
export const rememberedSince = (clock: Clock): string => new Date(clock.now() - rememberedForMs).toISOString()
