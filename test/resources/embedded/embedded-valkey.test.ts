// The in-process Valkey: the common behaviour, and its bound.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import { openEmbeddedValkey } from '../../../core/resources/embedded/embedded-valkey.ts'
import { openParts } from '../../support/part.ts'
import { behavesLikeValkey } from '../valkey/valkey-behaviour.ts'

behavesLikeValkey('embedded valkey', openEmbeddedValkey)

test('the in-process valkey drops its oldest values before it grows without bound', async t => {
  const resource = await openEmbeddedValkey(openParts())
  t.after(() => resource.close())
  const { host } = resource.value
  const megabyte = 'x'.repeat(1024 * 1024)
  for (let i = 0; i < 80; i++) await host.set(`key-${i}`, megabyte, { ttlMs: 60_000 })
  assert.equal(await host.get('key-0', z.string()), undefined)
  assert.equal(await host.get('key-79', z.string()), megabyte)
})

test('the in-process valkey lives by the clock it is given', async t => {
  let now = 1_000_000
  const resource = await openEmbeddedValkey(openParts({ clock: { now: () => now, sleep: async () => undefined } }))
  t.after(() => resource.close())
  const { host } = resource.value
  await host.set('key', 1, { ttlMs: 1_000 })
  now += 999
  assert.equal(await host.get('key', z.number()), 1)
  now += 2
  assert.equal(await host.get('key', z.number()), undefined)
})
