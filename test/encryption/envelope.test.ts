// Envelopes: what is sealed opens whole, unchanged and in its own place, or not at all.

import assert from 'node:assert/strict'
import { createCipheriv, hkdfSync } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { SealBroken } from '../../core/contract/index.ts'
import { createEncryption } from '../../core/encryption/index.ts'

const [first, second] = ['11', '22'].map(byte => Buffer.from(byte.repeat(32), 'hex')) as [Buffer, Buffer]
const room = createEncryption({ key: first, previous: undefined })
const vault = room.scoped('vault')
const context = ['project', 'NAME', '7']
const envelope = vault.seal('a secret', context)

/** Whether any of them opens. */
const opening = (envelopes: Iterable<Buffer>): Buffer[] => [...envelopes].filter(changed => {
  try {
    vault.open(changed, context)
    return true
  } catch (error) {
    assert.ok(error instanceof SealBroken, String(error))
    return false
  }
})

test('what was sealed opens in its own context, and is never the same twice', () => {
  for (const plain of ['', 'x', 'é\u0000🙂', 'x'.repeat(65_536)]) {
    assert.equal(vault.open(vault.seal(plain, context), context).toString(), plain)
  }
  const bytes = Uint8Array.from({ length: 256 }, (_, at) => at)
  assert.deepEqual([...vault.open(vault.seal(bytes, context), context)], [...bytes])
  // As a view into something larger, which is how a pool of buffers hands them out.
  const within = Buffer.concat([Buffer.alloc(5), envelope, Buffer.alloc(5)])
  assert.equal(vault.open(new Uint8Array(within.buffer, within.byteOffset + 5, envelope.length), context).toString(), 'a secret')
  assert.equal(new Set(Array.from({ length: 1_000 }, () => vault.seal('a secret', context).toString('hex', 9, 21))).size, 1_000)
})

test('an envelope with any one bit flipped is refused', () => {
  const bits = envelope.length * 8
  assert.equal(bits, (1 + 8 + 12 + 'a secret'.length + 16) * 8)
  assert.deepEqual(opening(Array.from({ length: bits }, (_, bit) => {
    const changed = Buffer.from(envelope)
    changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    return changed
  })), [])
  assert.deepEqual(opening([envelope]), [envelope])
})

test('an envelope cut anywhere, at either end or within, or with anything added is refused', () => {
  const cuts = Array.from({ length: envelope.length }, (_, at) => [
    envelope.subarray(0, at), envelope.subarray(at + 1), Buffer.concat([envelope.subarray(0, at), envelope.subarray(at + 1)])
  ]).flat()
  assert.deepEqual(opening(cuts), [])
  assert.deepEqual(opening([[envelope, Buffer.of(0)], [Buffer.of(1), envelope], [envelope, envelope]].map(parts => Buffer.concat(parts))), [])
})

test('a tag of four bytes, which AES-GCM has too, is refused', () => {
  const key = Buffer.from(hkdfSync('sha256', first, '', 'bulkhead envelopes of vault', 32))
  const cipher = createCipheriv('aes-256-gcm', key, envelope.subarray(9, 21), { authTagLength: 4 })
  const content = Buffer.concat([cipher.update('a secret'), cipher.final()])
  assert.deepEqual(opening([Buffer.concat([envelope.subarray(0, 21), content, cipher.getAuthTag()])]), [])
})

test('another context, plugin or key opens nothing; the previous key opens and does not seal', () => {
  for (const other of [
    ['project', 'NAME', '8'], ['project', 'NAME'], ['NAME', 'project', '7'], [...context, ''], ['', ...context], ['projectNAME', '7'],
    ['project', 'NAME7'],
    ['project', 'NAM', 'E7'], ['Project', 'NAME', '7'], ['project\u0000NAME', '7'], [context.join(',')]
  ]) assert.throws(() => vault.open(envelope, other), SealBroken, JSON.stringify(other))
  assert.throws(() => room.scoped('vaults').open(envelope, context), SealBroken)
  assert.throws(() => createEncryption({ key: second, previous: undefined }).scoped('vault').open(envelope, context),
    { name: 'SealBroken', message: new RegExp(`master key ${room.keyId}.*PLATFORM_MASTER_KEY_PREVIOUS`) })

  const rotated = createEncryption({ key: second, previous: first })
  const next = rotated.scoped('vault')
  assert.equal(rotated.previousKeyId, room.keyId)
  assert.equal(next.open(envelope, context).toString(), 'a secret')
  assert.throws(() => vault.open(next.seal('a secret', context), context), SealBroken)
})

test('no two contexts are the same to an envelope, and one that says nothing is refused', () => {
  const lists = fc.array(fc.string({ maxLength: 4 }), { minLength: 1, maxLength: 4 })
  fc.assert(fc.property(lists, lists, (one, other) => {
    const sealed = vault.seal('x', one)
    if (JSON.stringify(one) === JSON.stringify(other)) assert.equal(vault.open(sealed, other).toString(), 'x')
    else assert.throws(() => vault.open(sealed, other), SealBroken)
  }), { numRuns: 500 })
  for (const empty of [[], ['\ud800'], [7 as unknown as string]]) {
    assert.throws(() => vault.seal('x', empty), TypeError)
    assert.throws(() => vault.open(envelope, empty), TypeError)
  }
})

test('the id of the key is where the contract says, and tells one key from another', () => {
  assert.match(vault.keyId, /^[0-9a-f]{16}$/)
  assert.equal(envelope.toString('hex', 1, 9), vault.keyId)
  assert.ok(!first.toString('hex').includes(vault.keyId))
  assert.notEqual(vault.keyId, createEncryption({ key: second, previous: undefined }).keyId)
})

test('of what a plugin keeps the declaration that came last counts, and each ends for itself', () => {
  const own = createEncryption({ key: first, previous: undefined })
  const names = (): string[] => own.kept().map(({ plugin, name }) => `${plugin}/${name}`)
  const sealed = () => ({ pending: async () => 0, rewrap: async () => 0 })
  let told = 0
  own.onKept(() => { told += 1 })
  const [old, young] = [own.scoped('vault'), own.scoped('vault')]
  const [of, by] = [sealed(), sealed()]
  const forgetOld = old.keeps('values', of)
  assert.throws(() => old.keeps('values', sealed()), { message: /"values".*twice/ })
  assert.throws(() => old.keeps('Values', sealed()), { message: /lower-case/ })
  assert.throws(() => old.keeps('versions', {} as never), { message: /"versions".*"pending" and "rewrap"/ })
  own.scoped('hooks').keeps('all', sealed())
  young.keeps('values', by)
  assert.deepEqual([names(), told], [['hooks/all', 'vault/values'], 3])
  assert.equal(own.kept()[1]?.sealed.pending, by.pending)
  forgetOld()
  assert.deepEqual(names(), ['hooks/all', 'vault/values'])
})

test('of a plugin that seals and says nowhere what it keeps the log is told, once', () => {
  const warnings: unknown[] = []
  const own = createEncryption({ key: first, previous: undefined }, { warn: (facts: unknown) => { warnings.push(facts) } })
  const careful = own.scoped('careful')
  careful.keeps('all', { pending: async () => 0, rewrap: async () => 0 })
  for (const plugin of [careful, own.scoped('careless')]) {
    plugin.seal('x', ['y'])
    plugin.seal('x', ['y'])
  }
  assert.deepEqual(warnings, [{ plugin: 'careless' }])
})
