// Finds a plugin's route by method and path. @koa/router only matches; the caller decides what to do with a match.

import { Router } from '@koa/router'
import type { Layer } from '@koa/router'
import type { Method } from '../../contract/index.ts'

export interface Match<Route> {
  /** Undefined when only the method is wrong. */
  readonly route: Route | undefined
  readonly params: Record<string, string>
  /** Every method that the path answers, with OPTIONS, when `route` is undefined; otherwise empty. */
  readonly allow: readonly string[]
}

export interface PathFacts {
  readonly params: readonly string[]
  /** Pattern of the path. It is the same for two paths that match the same requests. */
  readonly shape: string
}

// Paths are case-sensitive and a trailing slash makes another path, so exactly one spelling reaches a route.
const spelling = { sensitive: true, strict: true }

/** Throws when the path cannot be parsed. */
export function readPath (path: string): PathFacts {
  const layer = add(new Router(spelling), path, [])
  return { params: layer.paramNames.map(({ name }) => name), shape: layer.regexp.source }
}

export interface Matcher<Route> {
  /** Undefined when no route has this path. */
  match (path: string, method: string): Match<Route> | undefined
}

/** The path with fewer parameters wins: `/me` is found before `/:id`, in whatever order they were declared. */
export function createMatcher<Route> (routes: readonly { method: Method, path: string, route: Route }[]): Matcher<Route> {
  const router = new Router(spelling)
  const routeOf = new Map<Layer, Route>()
  for (const { method, path, route } of routes) routeOf.set(add(router, path, [method]), route)
  router.stack.sort((a, b) => a.paramNames.length - b.paramNames.length)

  return {
    match (path, method) {
      const found = router.match(path, method)
      const layer = found.pathAndMethod[0]
      if (layer !== undefined) return { route: routeOf.get(layer), params: layer.params(path, layer.captures(path)), allow: [] }
      if (found.path.length === 0) return undefined
      const allow = [...new Set(found.path.flatMap(({ methods }) => methods)), 'OPTIONS'].sort()
      return { route: undefined, params: {}, allow }
    }
  }
}

function add (router: Router, path: string, methods: readonly Method[]): Layer {
  // Given a single path, `register` returns the layer that it created.
  return router.register(path, [...methods], () => undefined) as Layer
}
