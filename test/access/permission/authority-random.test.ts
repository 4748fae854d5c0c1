// Whatever a few users with some power do, in any order: nobody comes to hold what none of those who granted it held by a role.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import type { AccessModule } from '../../../core/access/index.ts'
import { AnswerableError } from '../../../core/contract/index.ts'
import type { User } from '../../../core/contract/index.ts'
import { addProject, assign, bumpEpoch, openHouse, origin, signInAs } from '../fixture.ts'
import type { House } from '../fixture.ts'

const permissions = ['admin:roles', 'admin:users', 'admin:delegate', 'secret:write', 'alert:manage'] as const
const roleNames = ['admin', 'keeper', 'writer', 'watcher'] as const
const userNames = ['ann', 'ben', 'cyd'] as const

interface World {
  readonly house: House
  readonly room: AccessModule
  /** Each user by a session, and by tokens that leave out some of what they hold. */
  readonly actors: readonly User[]
  readonly users: readonly string[]
  readonly projects: readonly [string, string]
  readonly roles: ReadonlyMap<string, string>
}

type Act = (world: World, actor: User) => Promise<unknown>
type Powers = ReadonlySet<string>

/** What each user holds by a role, as `user permission scope`; or all that they may do, loans included. */
async function powersOf ({ house, projects, users, room }: World, kind: 'by role' | 'effective'): Promise<Powers> {
  if (kind === 'by role') {
    const rows = await house.rows(`
      select ur.user_id || ' ' || p.name || ' ' || coalesce(scope.id::text, 'everywhere') as power
      from user_roles ur join users u on u.id = ur.user_id and u.is_active
      join role_permissions rp on rp.role_id = ur.role_id join permissions p on p.id = rp.permission_id
      join (select id from projects union all select null) as scope on ur.project_id is null or ur.project_id = scope.id
    `)
    return new Set(rows.map(({ power }) => String(power)))
  }
  const powers = await Promise.all(users.flatMap(user => [undefined, ...projects].map(async project =>
    [...await room.permissionsOf(user, project)].map(name => `${user} ${name} ${project ?? 'everywhere'}`))))
  return new Set(powers.flat())
}

const at = <Item>(items: readonly Item[], index: number): Item => {
  const item = items[index % items.length]
  assert.ok(item !== undefined)
  return item
}

const nat = fc.nat({ max: 11 })
const maybe = fc.option(nat, { nil: undefined })
const roleAt = ({ roles }: World, index: number): string => roles.get(at(roleNames, index)) ?? ''
const projectAt = ({ projects }: World, index: number | undefined): string | undefined => index === undefined ? undefined : at(projects, index)

const acts: fc.Arbitrary<Act> = fc.oneof(
  fc.tuple(nat, nat, maybe).map(([user, role, project]): Act => (world, actor) => world.room.access.roles.assign(
    actor, at(world.users, user), { roleId: roleAt(world, role), projectId: projectAt(world, project) }, origin)),
  fc.tuple(nat, fc.subarray([...permissions])).map(([role, names]): Act => (world, actor) =>
    world.room.access.roles.setPermissions(actor, roleAt(world, role), names, origin)),
  fc.tuple(nat, nat, maybe).map(([user, permission, project]): Act => (world, actor) => world.room.access.delegations.grant(
    actor, { delegateId: at(world.users, user), permission: at(permissions, permission), projectId: projectAt(world, project) }, origin)),
  fc.tuple(nat, fc.boolean()).map(([user, isActive]): Act => (world, actor) =>
    world.room.access.users.change(actor, at(world.users, user), { isActive }, origin)),
  fc.tuple(nat, nat).map(([user, role]): Act => (world, actor) =>
    world.room.access.roles.unassign(actor, at(world.users, user), { roleId: roleAt(world, role) }, origin))
)

const initial: readonly (readonly [role: string, permissions: readonly string[]])[] =
  [['keeper', ['admin:roles']], ['writer', ['secret:write', 'admin:users']], ['watcher', ['alert:manage', 'admin:delegate']]]

async function openWorld (t: TestContext): Promise<World> {
  const house = await openHouse(t)
  const room = await house.openRoom()
  for (const [name] of initial) await house.rows('insert into roles (name) values ($1)', [name])
  const roles = new Map((await house.rows('select name, id from roles')).map(({ name, id }) => [String(name), String(id)]))
  const projects = [await addProject(house, 'boat'), await addProject(house, 'ship')] as const
  const users: string[] = []
  for (const name of userNames) users.push(await house.addUser(name))
  await bumpEpoch(house)
  const sessions = await Promise.all(userNames.map(async name => (await signInAs(room, name)).user))
  const world = { house, room, actors: sessions, users, projects, roles }
  await reset(world)
  const narrowed = await Promise.all(sessions.slice(0, 2).map(async user => {
    const { token } = await room.access.createToken(user, { name: 'narrow', scopes: ['admin:roles', 'alert:manage'], expiresInDays: 1 }, origin)
    const found = await room.authenticate(token)
    assert.ok(found)
    return found
  }))
  return { ...world, actors: [...sessions, ...narrowed] }
}

/** As it was, but for the log; the clock moves on, so that no limit is met. */
async function reset ({ house, room, users, projects, roles }: World): Promise<void> {
  await house.rows('update users set is_active = true')
  await house.rows('delete from delegations')
  await house.rows('delete from user_roles where user_id = any($1)', [users])
  await house.rows('delete from role_permissions rp using roles r where r.id = rp.role_id and not r.is_system')
  for (const [name, held] of initial) {
    await house.rows('insert into role_permissions select $1, id from permissions where name = any($2)', [roles.get(name), held])
  }
  await assign(house, at(users, 0), 'keeper')
  await assign(house, at(users, 1), 'writer', projects[0])
  await assign(house, at(users, 1), 'keeper')
  await assign(house, at(users, 2), 'watcher')
  await house.rows('insert into user_roles (user_id, role_id) select $1, $2', [at(users, 2), roles.get('writer')])
  await house.rows('delete from bulkhead.rate_limit')
  await bumpEpoch(house)
  room.forget()
}

test('no sequence of grants gives anyone what no one who granted it held there by a role', async (t) => {
  const world = await openWorld(t)
  let done = 0
  await fc.assert(fc.asyncProperty(fc.array(fc.tuple(nat, acts), { minLength: 1, maxLength: 12 }), async (steps) => {
    await reset(world)
    for (const [who, act] of steps) {
      const actor = at(world.actors, who)
      const before = { byRole: await powersOf(world, 'by role'), effective: await powersOf(world, 'effective') }
      try {
        await act(world, actor)
        done++
      } catch (error) {
        if (!(error instanceof AnswerableError)) throw error
      }
      world.room.forget()
      const after = { byRole: await powersOf(world, 'by role'), effective: await powersOf(world, 'effective') }
      // What anyone gains by the step, its actor held there by a role and the token left it to them; a loan that counts again has its lender.
      const scopes = actor.signedInBy.kind === 'token' ? actor.signedInBy.scopes : undefined
      for (const kind of ['byRole', 'effective'] as const) {
        for (const power of [...after[kind]].filter(power => !before[kind].has(power))) {
          const [user = '', permission = '', scope = ''] = power.split(' ')
          const isActors = before.byRole.has(`${actor.id} ${permission} ${scope}`) && scopes?.includes(permission) !== false
          const isLendersAgain = kind === 'effective' && !after.byRole.has(power) &&
            world.users.some(lender => lender !== user && after.byRole.has(`${lender} ${permission} ${scope}`))
          assert.ok(isActors || isLendersAgain, `${power} came from nowhere (${kind}), by ${actor.name} through a ${actor.signedInBy.kind}`)
        }
      }
    }
  }), { numRuns: process.env.BULKHEAD_LONG === undefined ? 15 : 500 })
  assert.ok(done > 0, 'some of it was let through')
})
