// Which addresses plugins may reach, range by range, and whatever way one is written or wrapped.

import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { createAddressRules, isPublic } from '../../../core/resources/egress/address.ts'

/** Written down from IANA's special-purpose registries, apart from what the code uses. */
const special4 = [
  '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16',
  '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4', '255.255.255.255/32', '168.63.129.16/32'
]
const special6 = [
  '::/128', '::1/128', '::/96', '::ffff:0:0/96', '::ffff:0:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48', '100::/64', '2001::/32', '2001:2::/48', '2001:10::/28', '2001:20::/28',
  '2001:db8::/32', '2002::/16', '3fff::/20', '5f00::/16', 'fc00::/7', 'fd00:ec2::254/128', 'fe80::/10', 'fec0::/10', 'ff00::/8'
]
const parts = (range: string): [address: string, bits: number] => { const [address = '', bits] = range.split('/'); return [address, Number(bits)] }
const toNumber = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
const toText = (number: number): string => [24, 16, 8, 0].map(shift => (number >>> shift) & 255).join('.')
/** An address of the range, at both ends and in between. */
const within = (range: string): fc.Arbitrary<string> => {
  const [address, bits] = parts(range)
  return fc.integer({ min: 0, max: 2 ** (32 - bits) - 1 }).map(offset => toText(toNumber(address) + offset))
}
const refused4 = fc.oneof(...special4.map(within))
const any4 = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map(toText)

test('every special range is refused at its first and last address, and its neighbours are not', () => {
  for (const range of special4) {
    const [address, bits] = parts(range)
    assert.deepEqual([isPublic(address), isPublic(toText(toNumber(address) + 2 ** (32 - bits) - 1))], [false, false], range)
  }
  for (const range of special6) assert.equal(isPublic(parts(range)[0].replace(/::$/, '::1')), false, range)
  for (const address of [
    '1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0', '169.253.255.255', '172.15.255.255', '172.32.0.0',
    '192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255', '168.63.129.17', '2606:4700:4700::1111', '2a00:1450:4001:829::200e', '2001:4860:4860::8888'
  ]) assert.equal(isPublic(address), true, address)
})

test('what is no address, or one that is read in several ways, is refused', () => {
  for (const text of ['', 'localhost', '1.1.1', '1.1.1.1.', '01.1.1.1', '0x1.1.1.1', '16843009', '1.1.1.1:80', '[2606:4700::1]', 'fe80::1%eth0', '::g']) assert.equal(isPublic(text), false, text)
})

test('of all IPv4 addresses those are public that are in no special range', () => {
  const special = new BlockList()
  for (const range of [...special4, '192.31.196.0/24', '192.52.193.0/24', '192.175.48.0/24']) special.addSubnet(...parts(range))
  fc.assert(fc.property(fc.oneof(any4, refused4), address => isPublic(address) === !special.check(address)), { numRuns: 2_000 })
})

test('an address is refused in every spelling of a URL, and in every address that carries it', () => {
  const octal = (number: number): string => `0${number.toString(8)}`
  const hex = (number: number): string => `0x${number.toString(16)}`
  fc.assert(fc.property(refused4, address => {
    const number = toNumber(address)
    const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
    const spellings = [
      String(number), hex(number), `0${number.toString(8)}`, `${a}.${b * 65_536 + c * 256 + d}`, `${a}.${b}.${c * 256 + d}`, [a, b, c, d].map(octal).join('.'),
      [a, b, c, d].map(hex).join('.'), `${octal(a)}.${hex(b)}.${c}.${d}`, `${address}.`, address.replaceAll('.', '。'), address.replaceAll(/\d/g, digit => String.fromCodePoint(0xff10 + Number(digit)))
    ]
    for (const spelling of spellings) assert.equal(isPublic(new URL(`http://${spelling}/`).hostname), false, spelling)
    const [high, low] = [(number >>> 16).toString(16), (number & 0xffff).toString(16)]
    const carriers = [
      `::ffff:${address}`, `::ffff:${high}:${low}`, `::${high}:${low}`, `::ffff:0:${high}:${low}`, `64:ff9b::${high}:${low}`, `64:ff9b:1::${high}:${low}`, `2002:${high}:${low}::1`,
      `2001:0:${high}:${low}::1`
    ]
    for (const carrier of carriers) {
      assert.equal(isPublic(carrier), false, carrier)
      assert.equal(isPublic(new URL(`http://[${carrier}]/`).hostname.slice(1, -1)), false, carrier)
    }
  }), { numRuns: 300 })
})

test('an exception holds for its host or range, and its port where it names one', () => {
  const rules = createAddressRules([{ host: '10.0.0.0', prefix: 8, port: 8080 }, { host: '127.0.0.1' }, { host: 'fd00::', prefix: 8 }, { host: 'mirror.internal', port: 80 }])
  const answers: [string, number, boolean][] = [
    ['10.255.0.1', 8080, true], ['10.255.0.1', 80, false], ['11.0.0.1', 8080, true], ['127.0.0.1', 1, true], ['127.0.0.2', 1, false], ['::ffff:127.0.0.1', 1, false], ['::1', 1, false],
    ['fd12::1', 443, true], ['fe80::1', 443, false], ['169.254.169.254', 80, false]
  ]
  for (const [address, port, is] of answers) assert.equal(rules.isAllowed(address, port), is, `${address} ${port}`)
  assert.deepEqual(
    [['mirror.internal', 80], ['mirror.internal', 81], ['a.mirror.internal', 80], ['127.0.0.1', 80]].map(([host, port]) => rules.isHostAllowed(String(host), Number(port))),
    [true, false, false, false])
  assert.equal(createAddressRules([]).isAllowed('127.0.0.1', 80), false)
})
