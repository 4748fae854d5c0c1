// A permission may be asked for in a project, and a token may be bound to one: both are decided before the route runs.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import type { User } from '../../../core/contract/index.ts'
import { anyone, route, startHttp } from '../fixture.ts'

const [own, other] = ['0192f0c1-2a3b-7c4d-8e5f-60718293a4b5', '0192f0c1-2a3b-7c4d-8e5f-60718293a4b6']
const params = z.object({ projectId: z.uuid() })
const routes = [
  route('get', '/:projectId', { permission: 'note:read', project: 'params.projectId', params }, ctx => ({ by: ctx.user.name })),
  route('delete', '/:projectId', { permission: 'note:write', project: 'params.projectId', params }, () => undefined),
  route('get', '/', { permission: 'note:read', project: 'query.projectId', query: z.object({ projectId: z.uuid() }) }, () => []),
  route('post', '/', { permission: 'note:read', project: 'body.projectId', body: z.object({ projectId: z.uuid(), title: z.string() }) }, ({ input }) => input.body),
  route('get', '/all', { permission: 'note:read' }, () => []),
  route('get', '/me', { signedIn: 'shows only the caller' }, () => []),
  route('get', '/seen/:projectId', { signedIn: 'a test', project: 'params.projectId', params }, () => []),
  route('get', '/mine', { signedIn: 'a test', project: 'narrowed' }, ({ user: { signedInBy } }) => signedInBy.kind === 'token' ? [signedInBy.projectId] : []),
  route('get', '/ping', anyone, ctx => ({ by: ctx.user?.name ?? null }))
]

const userWith = (name: string, projectId: string | null, ...permissions: string[]): User => ({
  id: name, name, displayName: null, email: `${name}@example.org`, permissions: new Set(permissions),
  signedInBy: { kind: 'token', id: name, scopes: [], projectId, expiresAt: null }
})
const users = new Map(['member', 'stranger'].map(name => [name, userWith(name, null)]))
users.set('bound', userWith('bound', own, 'note:read'))
users.set('everywhere', userWith('everywhere', null, 'note:read'))

const asked: string[] = []
const authenticate = (token: string): User | undefined => users.get(token)
const permissionsIn = (user: User, projectId: string): ReadonlySet<string> => {
  asked.push(projectId)
  return user.name === 'everywhere' || (user.name !== 'stranger' && projectId === own) ? new Set(['note:read']) : new Set()
}
const options = { authenticate, permissionsIn }
const as = (name: string): { headers: Record<string, string> } => ({ headers: { authorization: `Bearer ${name}`, 'content-type': 'application/json' } })

test('a permission held in one project is nothing in another and nothing outside', async t => {
  for (const permissions of [permissionsIn, async (user: User, projectId: string) => permissionsIn(user, projectId)]) {
    const host = await startHttp(t, routes, { authenticate, permissionsIn: permissions })
    const status = async (path: string, init: RequestInit = as('member')): Promise<number> => (await host.fetch(`/api/notes${path}`, init)).status
    assert.equal(await status(`/${own}`), 200)
    assert.equal(await status(`/${other}`), 404)
    assert.equal(await status(`?projectId=${own}`), 200)
    assert.equal(await status(`?projectId=${other}`), 404)
    assert.equal(await status('', { ...as('member'), method: 'POST', body: JSON.stringify({ projectId: own, title: 'a' }) }), 200)
    assert.equal(await status('', { ...as('member'), method: 'POST', body: JSON.stringify({ projectId: other, title: 'a' }) }), 404)
    assert.equal(await status('/all'), 403)
    assert.equal(await status(`/${other}`, as('everywhere')), 200)
  }
})

test('whoever holds nothing in a project gets 404, whoever holds something else 403, nobody 401', async t => {
  const host = await startHttp(t, routes, options)
  const status = async (init: RequestInit): Promise<number> => (await host.fetch(`/api/notes/${own}`, { ...init, method: 'DELETE' })).status
  assert.equal(await status(as('stranger')), 404)
  assert.equal(await status(as('member')), 403)
  assert.equal(await status({}), 401)
})

test('the answer to a project that is not there for the caller is the same whatever is asked for', async t => {
  const host = await startHttp(t, routes, options)
  const answers = await Promise.all([`/${other}`, `/${own.slice(0, -1)}0`, '/none', `?projectId=${other}`].map(async path =>
    (await host.fetch(`/api/notes${path}`, { headers: { ...as('member').headers, 'x-request-id': 'the-same-for-all' } })).text()))
  assert.deepEqual([...new Set(answers)], [
    '{"type":"urn:bulkhead:problem:not-found","title":"Not found","status":404,"detail":"There is no such project.","requestId":"the-same-for-all"}'
  ])
})

test('an id that no project can have is 404 and asks nobody; none at all is 422', async t => {
  const host = await startHttp(t, routes, options)
  const status = async (path: string, init: RequestInit = as('everywhere')): Promise<number> => (await host.fetch(`/api/notes${path}`, init)).status
  const send = (body: unknown): RequestInit => ({ ...as('everywhere'), method: 'POST', body: JSON.stringify(body) })
  asked.length = 0
  for (const id of ['none', `${own}0`, `%20${own}`, '..%2f..', 'null', own.replaceAll('-', '')]) {
    assert.equal(await status(`/${id}`), 404, id)
    assert.equal(await status(`?projectId=${id}`), 404, id)
  }
  assert.equal(await status(`/${own}%00`), 400)
  assert.equal(await status(`?projectId=${own}%00`), 404)
  assert.equal(await status(`?projectId=${own}&projectId=${other}`), 404)
  for (const projectId of [1, null, [own], { id: own }, 'none']) assert.equal(await status('', send({ projectId, title: 'a' })), 404)
  assert.equal(await status(''), 422)
  for (const body of [{}, null, [], 'text', { title: 'a' }]) assert.equal(await status('', send(body)), 422)
  assert.deepEqual(asked, [])
  assert.equal(await status(`/${own.toUpperCase()}`), 200)
  assert.deepEqual(asked, [own])
})

test('a token bound to a project works there, is 404 elsewhere and anonymous on public routes', async t => {
  const host = await startHttp(t, routes, options)
  const status = async (path: string, init: RequestInit = as('bound')): Promise<number> => (await host.fetch(`/api/notes${path}`, init)).status
  assert.equal(await status(`/${own}`), 200)
  assert.equal(await status(`/${own.toUpperCase()}`), 200)
  assert.equal(await status(`?projectId=${own}`), 200)
  for (const path of [`/${other}`, `?projectId=${other}`, '', '/none', '/all', '/me']) assert.equal(await status(path), 404, path)
  assert.equal(await status('', { ...as('bound'), method: 'POST', body: '{}' }), 404)
  assert.equal(await status(`/${own}`, { ...as('bound'), method: 'DELETE' }), 403)
  assert.deepEqual(await (await host.fetch('/api/notes/ping', as('bound'))).json(), { by: null })
})

test('a route for any signed-in user admits a bound token in its project, or narrows its answer', async t => {
  const host = await startHttp(t, routes, options)
  const get = async (path: string, name: string): Promise<unknown> => {
    const answer = await host.fetch(`/api/notes${path}`, as(name))
    return answer.ok ? answer.json() : answer.status
  }
  assert.deepEqual([await get(`/seen/${own}`, 'bound'), await get(`/seen/${other}`, 'bound'), await get('/seen/none', 'bound')], [[], 404, 404])
  assert.deepEqual([await get(`/seen/${own}`, 'stranger'), await get('/seen/none', 'stranger'), await get(`/seen/${own}`, 'nobody')], [[], 422, 401])
  assert.deepEqual([await get('/mine', 'bound'), await get('/mine', 'stranger'), await get('/mine', 'nobody')], [[own], [null], 401])
})

test('a body that names the project is read once, after authentication, and checked as usual', async t => {
  const host = await startHttp(t, routes, options)
  const post = (body: string, init = as('member')): Promise<Response> => host.fetch('/api/notes', { ...init, method: 'POST', body })
  assert.equal((await post('{ broken', { headers: { authorization: 'Bearer none', 'content-type': 'application/json' } })).status, 401)
  assert.equal((await post('{ broken')).status, 400)
  const answer = await post(JSON.stringify({ projectId: own }))
  assert.equal(answer.status, 422)
  assert.deepEqual((await answer.json() as { errors: { path: string }[] }).errors.map(({ path }) => path), ['body.title'])
})
