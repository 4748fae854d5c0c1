// Routes that cannot be right are refused with a sentence that says how to mend each.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import type { Method, RouteOptions } from '../../../core/contract/index.ts'
import type { RouteRecord } from '../../../core/handover/route-record.ts'
import { findRouteProblems } from '../../../core/http/index.ts'
import { anyone, route } from '../fixture.ts'

const id = z.object({ id: z.string() })
/** What plain JavaScript may declare, and TypeScript would not allow. */
const raw = (method: string, path: string, options: unknown, handler: unknown = () => 1): RouteRecord =>
  ({ plugin: 'notes', mount: 'notes', method: method as Method, path, options: options as RouteOptions, handler: handler as RouteRecord['handler'] })

test('right routes have no problems', () => {
  assert.deepEqual(findRouteProblems([
    route('get', '/', anyone, () => 1),
    route('post', '/', { ...anyone, body: z.object({}), bodyLimitBytes: 1_000, returns: z.object({}), status: 201, summary: 'Makes one' }, () => ({})),
    route('get', '/:id', { ...anyone, params: id }, () => 1),
    route('delete', '/:id', { ...anyone, params: id, body: z.object({}) }, () => 1),
    route('get', '/files/*path', { ...anyone, params: z.object({ path: z.string() }) }, () => 1),
    route('get', '/in/:id', { permission: 'a:b', project: 'params.id', params: id }, () => 1),
    route('get', '/seen/:id', { signedIn: 'a test', project: 'params.id', params: id }, () => 1),
    route('get', '/all', { signedIn: 'a test', project: 'narrowed' }, () => 1),
    route('get', '/any/:a/:b', { ...anyone, params: z.record(z.string(), z.string()) }, () => 1)
  ]), [])
})

const wrong: [string, RouteRecord[], RegExp][] = [
  ['no guard', [raw('get', '/', {})], /^GET \/ does not say who may call it; add "permission"/],
  ['two guards', [raw('get', '/', { public: 'yes', permission: 'a:b' })], /names "permission" and "public"; keep one/],
  ['a reason without words', [raw('get', '/', { public: ' ' })], /does not say why it is "public"/],
  ['a guard that is no text', [raw('get', '/', { signedIn: true })], /does not say why it is "signedIn"/],
  ['an empty permission', [raw('get', '/', { permission: '' })], /has an empty "permission"/],
  ['no options', [raw('get', '/', undefined)], /has no options/],
  ['no handler', [raw('get', '/', anyone, 'text')], /has no handler/],
  ['an unknown method', [raw('trace', '/', anyone)], /a method no route can have; use one of get, post/],
  ['an unknown option', [raw('get', '/', { ...anyone, guard: 1 })], /an option "guard" that does not exist/],
  ...[0, -1, 1.5, NaN, Infinity, 2 ** 60, '64kb', null, 10n].map((bodyLimitBytes): [string, RouteRecord[], RegExp] => [
    `a body limit of ${bodyLimitBytes}`, [raw('post', '/', { ...anyone, body: z.object({}), bodyLimitBytes })], /has the bodyLimitBytes .+; give a whole number of bytes/
  ]),
  ['a body limit without a body', [raw('post', '/', { ...anyone, bodyLimitBytes: 5 })], /has a "bodyLimitBytes" and no "body"/],
  ['a schema that is none', [raw('get', '/', { ...anyone, query: { a: 1 } })], /a "query" that is not a zod schema/],
  ['no leading slash', [raw('get', 'a', anyone)], /does not begin with "\/"/],
  ['a path that is no text', [raw('get', 5 as unknown as string, anyone)], /does not begin with "\/"/],
  ['a trailing slash', [raw('get', '/a/', anyone)], /a trailing slash is another path; drop it/],
  ['an empty segment', [raw('get', '/a//b', anyone)], /an empty segment/],
  ['a space', [raw('get', '/a b', anyone)], /a character that no request path can hold/],
  ['an encoded character', [raw('get', '/a%20b', anyone)], /a character that no request path can hold/],
  ['an unparsable path', [raw('get', '/:', anyone)], /a path that cannot be read: /],
  ['an old wildcard', [raw('get', '/*', anyone)], /a path that cannot be read: /],
  ['a body on GET', [raw('get', '/', { ...anyone, body: id })], /takes a body, which a GET cannot have/],
  ['a status that is no success', [raw('get', '/', { ...anyone, status: 404 })], /has the status 404/],
  ['a body with 204', [raw('get', '/', { ...anyone, status: 204, returns: id })], /answers 204, which has no body/],
  ['a parameter without schema', [raw('get', '/:id', anyone)], /has "id" in its path and no schema for it; add params: z\.object/],
  ['a parameter the schema misses', [raw('get', '/:id/:part', { ...anyone, params: id })], /has "part" in its path but not in "params"/],
  ['a schema for what is not in the path', [raw('get', '/', { ...anyone, params: id })], /has "id" in "params" but not in its path/],
  ['a project from nowhere', [raw('get', '/:id', { permission: 'a:b', project: 'id', params: id })], /a "project" that is not part of a request; name where the id is: "params/],
  ['a project that its part does not have', [raw('get', '/:id', { permission: 'a:b', project: 'params.projectId', params: id })], /which its "params" does not have; add projectId: z\.uuid\(\)/],
  ['a project from a part that is not there', [raw('post', '/', { permission: 'a:b', project: 'body.projectId' })], /from "body\.projectId", which its "body" does not have/],
  ['a project without a permission', [raw('get', '/:id', { ...anyone, project: 'params.id', params: id })], /a "project" and no permission to be held in it/],
  ['a permission, and a project that the handler narrows', [raw('get', '/', { permission: 'a:b', project: 'narrowed' })], /a "project" that is not part of a request/],
  ['the same twice', [raw('get', '/a', anyone), raw('get', '/a', anyone)], /^GET \/a answers the same requests as GET \/a; remove one/],
  ['the same under another name', [raw('get', '/:id', { ...anyone, params: id }), raw('get', '/:key', { ...anyone, params: z.object({ key: z.string() }) })], /^GET \/:key answers the same requests as GET \/:id/]
]

for (const [name, records, expected] of wrong) {
  test(`refused: ${name}`, () => {
    const problems = findRouteProblems(records)
    assert.equal(problems.length, 1, problems.join('\n'))
    assert.match(problems[0] ?? '', expected)
  })
}

test('all problems of all routes come together', () => {
  assert.equal(findRouteProblems([raw('get', 'a', {}), raw('get', '/b/', { ...anyone, status: 7 })]).length, 4)
})
