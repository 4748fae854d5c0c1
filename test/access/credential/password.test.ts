// Passwords, and how many are worked on at once.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hash } from 'argon2'
import { createPasswords } from '../../../core/access/credential/password.ts'
import { TooManyRequests } from '../../../core/contract/index.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { clock } from '../../support/part.ts'

const passwords = createPasswords(clock)

test('a password is the one it was made from and no other', async () => {
  const stored = await passwords.hash('correct horse')
  assert.equal(await passwords.isRight('correct horse', stored), true)
  assert.equal(await passwords.isRight('correct horsf', stored), false)
  assert.equal(await passwords.isRight('correct horse', undefined), false)
})

test('a stored text that is no hash is no error and no password\'s', async () => {
  for (const stored of ['', 'none', '$argon2id$', '$argon2id$v=19$m=1,t=0,p=0$AA$AA', '$2b$10$abcdefghijklmnopqrstuv']) {
    assert.equal(await passwords.isRight('correct horse', stored), false, stored)
  }
})

test('a password that is too short or too long is refused, even when the stored hash matches it', async () => {
  for (const text of ['1234567', 'x'.repeat(1_025)]) {
    assert.equal(await passwords.isRight(text, await hash(text, { memoryCost: 64, timeCost: 1, parallelism: 1 })), false, `${text.length} characters`)
  }
})

test('in a flood of passwords a bounded number waits, and the rest is refused at once', async () => {
  const stored = await hash('correct horse', { memoryCost: 64, timeCost: 1, parallelism: 1 })
  const flood = await Promise.allSettled(Array.from({ length: 100 }, () => passwords.isRight('correct horse', stored)))
  const answered = flood.filter(({ status }) => status === 'fulfilled').length
  assert.ok(answered >= 33 && answered <= 35, `one to three at work and 32 waiting: ${answered}`)
  for (const result of flood) {
    if (result.status === 'rejected') assert.ok(result.reason instanceof TooManyRequests && result.reason.retryAfterMs !== undefined)
  }
  assert.equal(await passwords.isRight('correct horse', stored), true)
})

test('a caller that waits longer than ten seconds is refused, and a later one gets its turn', async () => {
  const stored = await hash('correct horse', { memoryCost: 64, timeCost: 1, parallelism: 1 })
  const time = createFakeClock(0)
  const passwords = createPasswords(time)
  const atWork = Promise.allSettled([1, 2, 3].map(() => passwords.hash('correct horse')))
  const waiting = Promise.allSettled(Array.from({ length: 5 }, () => passwords.isRight('correct horse', stored, { isKnown: false })))
  await time.advance(10_000)
  for (const result of await waiting) assert.ok(result.status === 'rejected' && result.reason instanceof TooManyRequests)
  await atWork
  assert.equal(await passwords.isRight('correct horse', stored), true)
})

test('who is known comes before strangers, and their queue is not the strangers\'', async () => {
  const stored = await hash('correct horse', { memoryCost: 64, timeCost: 1, parallelism: 1 })
  const order: string[] = []
  const ask = (name: string, isKnown: boolean): Promise<unknown> =>
    passwords.isRight('correct horse', stored, { isKnown }).then(() => order.push(name), () => order.push('turned away'))
  const atWork = [1, 2, 3].map(() => passwords.hash('correct horse').catch(() => undefined))
  const asked = [...Array.from({ length: 40 }, () => ask('stranger', false)), ask('known', true)]
  await Promise.all([...atWork, ...asked])
  const done = order.filter(name => name !== 'turned away')
  assert.equal(done[0], 'known')
  assert.equal(done.length, 33)
})
