// People with more and with less power, for the tests of what they may do to each other.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { User } from '../../core/contract/index.ts'
import type { AccessModule } from '../../core/access/index.ts'
import { addProject, assign, bumpEpoch, openHouse, origin, signIn, signInAs } from './fixture.ts'
import type { House } from './fixture.ts'

/** With two projects of the admin's, and the role `helpdesk`, which manages users and nothing else. */
export interface Cast { house: House, room: AccessModule, admin: User, boat: string, ship: string }

export async function cast (t: TestContext): Promise<Cast> {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await house.rows(`insert into permissions (name, resource, action) values ('secret:reveal', 'secret', 'reveal'), ('host:operate', 'host', 'operate')`)
  await house.rows(`insert into role_permissions select r.id, p.id from roles r, permissions p where r.name = 'admin' on conflict do nothing`)
  await makeRole(house, 'helpdesk', ['admin:users'])
  await makeRole(house, 'revealer', ['secret:reveal'])
  return { house, room, admin: (await signIn(room)).user, boat: await addProject(house, 'boat'), ship: await addProject(house, 'ship') }
}

export async function makeRole ({ rows }: House, name: string, permissions: readonly string[]): Promise<string> {
  const [role] = await rows('insert into roles (name) values ($1) returning id', [name])
  await rows('insert into role_permissions select $1, id from permissions where name = any($2)', [role?.['id'], permissions])
  return String(role?.['id'])
}

/** Signed in, with these roles everywhere. */
export async function someone ({ house, room }: Cast, name: string, ...roles: string[]): Promise<User> {
  const id = await house.addUser(name)
  for (const role of roles) await assign(house, id, role)
  await bumpEpoch(house)
  return (await signInAs(room, name)).user
}

export async function throughToken ({ room }: Cast, user: User, scopes: string[], projectId?: string): Promise<User> {
  const { token } = await room.access.createToken(user, { name: 'narrow', scopes, projectId, expiresInDays: 1 }, origin)
  const found = await room.authenticate(token)
  assert.ok(found)
  return found
}

export const roleId = async ({ rows }: House, name: string): Promise<string> => String((await rows('select id from roles where name = $1', [name]))[0]?.['id'])
