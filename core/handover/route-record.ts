// A declared route, as a plugin's registration hands it to `http`.

import type { Handler, Method, RouteOptions } from '../contract/index.ts'

export interface RouteRecord {
  readonly plugin: string
  readonly mount: string
  readonly method: Method
  /** Relative to the mount. */
  readonly path: string
  readonly options: RouteOptions
  readonly handler: Handler<RouteOptions>
}
