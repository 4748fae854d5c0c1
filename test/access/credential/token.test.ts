// How tokens look, and what is kept of them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createApiToken, createSessionToken, hashOf, kindOf } from '../../../core/access/credential/token.ts'

test('a session token is plat_ and 64 hexadecimal digits', () => {
  const token = createSessionToken()
  assert.match(token, /^plat_[0-9a-f]{64}$/)
  assert.equal(kindOf(token), 'session')
  assert.notEqual(createSessionToken(), token)
})

test('an API token is plat_api_, 64 hexadecimal digits and a checksum of eight', () => {
  const token = createApiToken()
  assert.match(token, /^plat_api_[0-9a-f]{72}$/)
  assert.equal(kindOf(token), 'token')
})

test('the checksum finds every single changed digit', () => {
  const token = createApiToken()
  for (let place = 'plat_api_'.length; place < token.length; place++) {
    const other = token[place] === '0' ? '1' : '0'
    assert.equal(kindOf(token.slice(0, place) + other + token.slice(place + 1)), undefined, `at ${place}`)
  }
})

test('what is not exactly a token is none', () => {
  const session = createSessionToken()
  const api = createApiToken()
  for (const text of ['', 'plat_', session.toUpperCase(), `${session}0`, session.slice(0, -1), ` ${session}`, `${session}\n`, api.slice(0, -8), `${api}0`]) {
    assert.equal(kindOf(text), undefined, JSON.stringify(text))
  }
})

test('what is kept is the SHA-256 of the token', () => {
  assert.equal(hashOf('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})
