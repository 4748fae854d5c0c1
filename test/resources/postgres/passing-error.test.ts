// Which errors of a start are retried: those of a database that is not available yet, however deep they are wrapped.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServiceUnavailable } from '../../../core/contract/index.ts'
import { isPassingError, reasonsOf } from '../../../core/resources/postgres/passing-error.ts'

const coded = (code: string, message = 'no'): Error => Object.assign(new Error(message), { code })

test('a state of the database that passes is recognised by its code, under any wrapping', () => {
  const codes = ['25006', '53300', '57P01', '57P03', '08006', '40P01', '40001', 'ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EAI_AGAIN']
  for (const code of codes) {
    assert.ok(isPassingError(coded(code)), code)
    assert.ok(isPassingError(new Error('wrapped', { cause: new Error('again', { cause: coded(code) }) })), code)
    assert.ok(isPassingError(new AggregateError([new Error('other'), coded(code)])), code)
  }
  assert.ok(isPassingError(new ServiceUnavailable('away')))
  assert.ok(isPassingError(coded('XX000', 'tuple concurrently updated')))
  assert.ok(isPassingError(new Error('Connection terminated unexpectedly')))
})

test('what only an operator can change is not retried', () => {
  for (const code of ['42501', '42P01', '42601', '28P01', '3D000', '23505', '22P02', 'ENOENT', 'EADDRINUSE']) {
    assert.equal(isPassingError(new Error('wrapped', { cause: coded(code) })), false, code)
  }
  assert.equal(isPassingError(new Error('the file is broken')), false)
  assert.equal(isPassingError(undefined), false)
})

test('the reasons of an error end with the deepest, and a circle of causes ends', () => {
  const deepest = new Error('deepest')
  const middle = new Error('middle', { cause: deepest })
  const circular = new Error('circular')
  circular.cause = new Error('other half', { cause: circular })
  assert.deepEqual(reasonsOf(new Error('top', { cause: middle })).map(({ message }) => message), ['top', 'middle', 'deepest'])
  assert.deepEqual(reasonsOf(circular).map(({ message }) => message), ['circular', 'other half'])
})
