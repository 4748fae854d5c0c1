// Names and addresses of users, and whether a caller is still signed in.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { openHouse, origin, signIn, signInAs } from '../fixture.ts'

test('an active user has an address, anybody else has none', async (t) => {
  const house = await openHouse(t)
  const { access } = await house.openRoom()
  const ada = await house.addUser('ada')
  assert.deepEqual(await access.contact(ada), { id: ada, name: 'ada', displayName: null, email: 'ada@localhost' })
  assert.equal(await access.contact(randomUUID()), undefined)
  await house.rows('update users set is_active = false where id = $1', [ada])
  assert.equal(await access.contact(ada), undefined)
})

test('a caller is signed in until the session or the token ends, or the user; asking is no use', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const ada = await house.addUser('ada')
  const [first, second] = [await signInAs(room, 'ada'), await signInAs(room, 'ada')]
  const { token } = await room.access.createToken(second.user, { name: 'bot', scopes: [], expiresInDays: 1 }, origin)
  const bot = await room.authenticate(token)
  assert.ok(bot)
  const asked = (): Promise<boolean[]> => Promise.all([first.user, second.user, bot].map(user => room.access.isSignedIn(user)))
  assert.deepEqual(await asked(), [true, true, true])
  await room.access.logout(first.user, origin)
  assert.deepEqual(await asked(), [false, true, true])
  await house.clock.advance(4 * 3_600_000)
  await asked()
  await house.clock.advance(4 * 3_600_000 + 1)
  assert.deepEqual(await asked(), [false, false, true])
  await house.rows('update users set is_active = false where id = $1', [ada])
  assert.deepEqual(await asked(), [false, false, false])
  assert.equal(await room.access.isSignedIn((await signIn(room)).user), true)
})
