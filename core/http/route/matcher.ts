// Finds a plugin's route by method and path. @koa/router is asked for the match only; what a match allows is decided by whoever asked.

import { Router } from '@koa/router'
import type { Layer } from '@koa/router'
import type { Method } from '../../contract/index.ts'

export interface Match<Route> {
  /** Undefined when only the method is wrong. */
  readonly route: Route | undefined
  readonly params: Record<string, string>
  /** Every method the path answers. */
  readonly allow: readonly string[]
}

export interface PathFacts {
  readonly params: readonly string[]
  /** The same for two paths that match the same requests. */
  readonly shape: string
}

// A capital is another letter and a trailing slash another path: one spelling reaches a route.
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

/** The path with fewer parameters wins: `/me` is found before `/:id`, whichever was declared first. */
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
  // Given one path, not several, it answers with the layer it made.
  return router.register(path, [...methods], () => undefined) as Layer
}
