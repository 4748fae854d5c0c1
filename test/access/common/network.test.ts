// Which addresses count as one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { networkOf } from '../../../core/access/common/network.ts'

const of = (address: string | undefined): string | null => networkOf({ address })

test('an IPv4 address stands for itself, an IPv6 address for its first 64 bits', () => {
  assert.equal(of('192.0.2.7'), '192.0.2.7')
  assert.equal(of('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  assert.equal(of('2001:0DB8:0001:0002::1'), '2001:db8:1:2::/64')
  assert.equal(of('2001:db8::1'), '2001:db8:0:0::/64')
  assert.equal(of('2001:db8:1:2::'), '2001:db8:1:2::/64')
  assert.equal(of('::1'), '0:0:0:0::/64')
  assert.equal(of('::'), '0:0:0:0::/64')
  assert.equal(of('fe80::1%eth0'), 'fe80:0:0:0::/64')
  assert.equal(of('64:ff9b::192.0.2.1'), '64:ff9b:0:0::/64')
  assert.equal(of('1:2:3:4:5:6:192.0.2.1'), '1:2:3:4::/64')
})

test('an IPv4 address in IPv6 clothes is the IPv4 address', () => {
  assert.equal(of('::ffff:192.0.2.7'), '192.0.2.7')
  assert.equal(of('::FFFF:192.0.2.7'), '192.0.2.7')
})

test('what is no address is no network', () => {
  for (const address of [undefined, '', 'unknown', '192.0.2', '2001:db8:::1']) assert.equal(of(address), null)
})
