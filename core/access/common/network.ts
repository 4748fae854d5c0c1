// Finds the network of a request and remembers from which networks each user has signed in.
// Attempts by others from elsewhere do not lock a user out of a known network.

import { isIP, isIPv6 } from 'node:net'
import { sql, z } from '../../contract/index.ts'
import type { Clock, Origin, Transaction } from '../../contract/index.ts'

/** 90 days are long enough for a user who signs in on the first of every other month. */
const rememberedForMs = 90 * 86_400_000
/** Networks remembered for each user. Without this limit, an attacker who has the password could fill the table. */
const networksMax = 50

/** Returns the address without a zone (`fe80::1%eth0`), which Postgres does not accept. Returns null when it is no address. */
export function addressOf (origin: Pick<Origin, 'address'> | undefined): string | null {
  const [plain = ''] = (origin?.address ?? '').split('%')
  return isIP(plain) === 0 ? null : plain
}

/**
 * Returns an IPv4 address, or the first 64 bits of an IPv6 address: a client that has one address there has all of them.
 * Returns null when the address is not known.
 */
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

/** Records, in the transaction of a sign-in, that the user is known in this network from now on. */
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

/** Networks that were last seen before this time are forgotten. */
export const rememberedSince = (clock: Clock): string => new Date(clock.now() - rememberedForMs).toISOString()
