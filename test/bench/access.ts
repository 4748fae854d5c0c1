// What a permission check costs, beside casbin and CASL on the same rules, and what it costs when nothing is known yet.

import { createMongoAbility, type RawRuleOf, type MongoAbility } from '@casl/ability'
import { newEnforcer, newModelFromString } from 'casbin'
import { createAccess, prepareAccess, syncPermissions, type AccessModule } from '../../core/access/index.ts'
import { corePermissions } from '../../core/access/permission/permission.ts'
import { sql, z, type User } from '../../core/contract/index.ts'
import { openValkey } from '../../core/resources/valkey/valkey-resource.ts'
import { createDatabase } from '../support/database.ts'
import { clock, createLog, openParts } from '../support/part.ts'
import { openTestPostgres } from '../support/postgres.ts'
import { freePort } from '../support/process.ts'
import { startValkeyServer } from '../support/valkey-server.ts'
import { withDatabaseServer } from './context.ts'

const userCount = 200
const projectCount = 20
const checks = 100_000
const rounds = 7
const roles = ['developer', 'ops', 'viewer'] as const

/** User n has a role in three projects: the same for all who are measured. */
const assignments = Array.from({ length: userCount }, (_, user) => [0, 1, 2].map(step => ({
  user, project: (user + step * 7) % projectCount, role: roles[(user + step) % roles.length] ?? 'viewer'
}))).flat()
const permissionsOf = (role: string): string[] =>
  corePermissions.filter(({ roles = [] }) => (roles as readonly string[]).includes(role)).map(({ name }) => name)

interface Question { readonly user: number, readonly project: number, readonly permission: string }
const questions: readonly Question[] = Array.from({ length: 1_000 }, (_, at) => ({
  user: (at * 31) % userCount, project: (at * 31 + (at % 4) * 7) % projectCount, permission: corePermissions[at % corePermissions.length]?.name ?? ''
}))

/** Few enough that all of them are still known when the last is asked. */
const knownQuestions = questions.slice(0, 100)

/** Answers a question; with a promise or without one, as it comes. */
type Check = (question: Question) => boolean | Promise<boolean>

export async function benchAccess (): Promise<void> {
  await withDatabaseServer(async t => {
    const port = await freePort()
    const server = await startValkeyServer(port)
    t.after(() => server.stop())
    const valkey = await openValkey({ url: `redis://127.0.0.1:${port}`, commandTimeoutMs: 1_000, connectTimeoutMs: 1_000 }, openParts())
    t.after(() => valkey.close())
    const url = await createDatabase(t, { migrated: 'plugins' })
    const { postgres } = await openTestPostgres(t, { url, acquireTimeoutMs: 10_000, acquireQueueMax: 10_000 })
    await prepareAccess(postgres)
    await syncPermissions(postgres, [])
    const { users, projects } = await populate(postgres)
    const open = (): Promise<AccessModule> => createAccess({ postgres, valkey: valkey.value.host, log: createLog(), clock })
    const room = await open()
    t.after(() => room.close())

    const contenders = new Map<string, Check>([
      ['bulkhead, as the guard of a route asks', ({ user, project, permission }) => {
        const held = room.permissionsIn(users[user] as User, projects[project] ?? '')
        return held instanceof Promise ? held.then(names => names.has(permission)) : held.has(permission)
      }],
      ['bulkhead, access.can', ({ user, project, permission }) => room.access.can(users[user] as User, permission, projects[project])],
      ['CASL, an ability per user and project', createCasl()],
      ['casbin, roles in domains', await createCasbin()]
    ])
    await agree(contenders)
    const samples = new Map([...contenders.keys()].map((name): [string, number[]] => [name, []]))
    for (let round = 0; round < rounds; round++) {
      for (const [name, check] of contenders) samples.get(name)?.push(await measure(check, name.startsWith('casbin') ? checks / 20 : checks))
    }
    const base = median(samples.get('bulkhead, as the guard of a route asks') ?? [])
    console.log(`access: ${userCount} users with roles in 3 of ${projectCount} projects each, ${corePermissions.length} permissions; a check of what is known`)
    console.table(Object.fromEntries([...samples].map(([name, us]) =>
      [name, { usPerCheck: Number(median(us).toFixed(3)), ratio: Number((median(us) / base).toFixed(1)) }])))
    console.table(await measureUnknown(open, users, projects, async () => {
      await postgres.query(sql.type(z.object({}))`update bulkhead.access_epoch set value = value + 1`)
    }))
  })
}

async function populate (postgres: Awaited<ReturnType<typeof openTestPostgres>>['postgres']): Promise<{ users: User[], projects: string[] }> {
  const Id = z.object({ id: z.uuid() })
  const ids = await postgres.anyFirst(sql.type(Id)`
    insert into public.users (name, email, password_hash)
    select 'user-' || n, n || '@localhost', 'x' from generate_series(0, ${userCount - 1}::int) n returning id
  `)
  const projects = await postgres.anyFirst(sql.type(Id)`
    insert into public.projects (owner_id, name) select ${ids[0] ?? ''}, 'project-' || n from generate_series(0, ${projectCount - 1}::int) n returning id
  `)
  const column = (value: (assignment: (typeof assignments)[number]) => string): string[] => assignments.map(value)
  await postgres.query(sql.type(z.object({}))`
    insert into public.user_roles (user_id, project_id, role_id)
    select a.user_id, a.project_id, r.id from unnest(
      ${sql.array(column(({ user }) => ids[user] ?? ''), 'uuid')}, ${sql.array(column(({ project }) => projects[project] ?? ''), 'uuid')},
      ${sql.array(column(({ role }) => role), 'text')}
    ) as a (user_id, project_id, role) join public.roles r on r.name = a.role
  `)
  const users = ids.map((id): User => ({
    id, name: id, displayName: null, email: '', permissions: new Set(), signedInBy: { kind: 'session', id, expiresAt: '2030-01-01T00:00:00.000Z' }
  }))
  return { users, projects: [...projects] }
}

function createCasl (): Check {
  type Ability = MongoAbility<[string, string]>
  const abilities = new Map(assignments.map(({ user, project, role }) => {
    const rules = permissionsOf(role).map((name): RawRuleOf<Ability> => {
      const [subject = '', action = ''] = name.split(':')
      return { action, subject }
    })
    return [`${user} ${project}`, createMongoAbility<Ability>(rules)]
  }))
  return ({ user, project, permission }) => {
    const colon = permission.indexOf(':')
    return abilities.get(`${user} ${project}`)?.can(permission.slice(colon + 1), permission.slice(0, colon)) ?? false
  }
}

async function createCasbin (): Promise<Check> {
  const enforcer = await newEnforcer(newModelFromString(`
[request_definition]
r = sub, dom, act
[policy_definition]
p = sub, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && g(r.sub, p.sub, r.dom)
`))
  await enforcer.addPolicies(roles.flatMap(role => permissionsOf(role).map(name => [role, name])))
  await enforcer.addNamedGroupingPolicies('g', assignments.map(({ user, project, role }) => [`u${user}`, role, `p${project}`]))
  return ({ user, project, permission }) => enforcer.enforce(`u${user}`, `p${project}`, permission)
}

/** All answer the same, or the numbers mean nothing. */
async function agree (contenders: ReadonlyMap<string, Check>): Promise<void> {
  for (const question of questions) {
    const answers = await Promise.all([...contenders.values()].map(async check => check(question)))
    if (new Set(answers).size > 1) throw new Error(`${JSON.stringify(question)} is answered ${answers.join(', ')} by ${[...contenders.keys()].join('; ')}`)
  }
}

/** Microseconds a check whose answer is known. */
async function measure (check: Check, count: number): Promise<number> {
  for (const question of knownQuestions) await check(question)
  const startedAt = performance.now()
  for (let at = 0; at < count; at++) {
    const answer = check(knownQuestions[at % knownQuestions.length] as Question)
    if (typeof answer !== 'boolean') await answer
  }
  return (performance.now() - startedAt) * 1_000 / count
}

/** Milliseconds of a first check by one caller after the other: from Valkey, and, after a change, from Postgres. */
async function measureUnknown (
  open: () => Promise<AccessModule>, users: readonly User[], projects: readonly string[], change: () => Promise<void>
): Promise<Record<string, { msPerCheck: number }>> {
  const ask = async (): Promise<{ msPerCheck: number }> => {
    const room = await open()
    const startedAt = performance.now()
    for (const user of users) await room.access.can(user, 'project:read', projects[0])
    const msPerCheck = Number(((performance.now() - startedAt) / users.length).toFixed(2))
    await room.close()
    return { msPerCheck }
  }
  await change()
  return { 'unknown anywhere: from Postgres': await ask(), 'known to another host: from Valkey': await ask() }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

if (import.meta.main) await benchAccess()
