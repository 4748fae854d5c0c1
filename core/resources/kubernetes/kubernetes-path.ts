// Refuses names that would change where the path of a Kubernetes request leads, so that a request reaches only the
// object that the caller asked for.

import { BadRequest } from '../../contract/index.ts'

/**
 * The last parameter of these paths is itself a path: it leads to the pod, service or node, not to an object of the
 * API.
 */
const proxiedPath = /^\/api\/v1\/(?:nodes|namespaces\/[^/]+\/(?:pods|services))\/[^/]+\/proxy\/([^/]+)$/
/** The client requests these paths with a slash at the end, which would otherwise count as an empty name. */
const discoveryPath = /^\/(?:version|api\/v1|apis\/(?:apps|batch)\/v1)\/$/

const dots = /^(?:\.|%2e){1,2}$/i
/**
 * Characters that no name in Kubernetes contains. The API server decodes a path before it splits it, so a slash in a
 * name would begin another parameter.
 */
const forbidden = /[/%\\\u0000-\u001f\u007f]/

/**
 * `path` is the path below the server's address, built from the caller's parameters, each of them encoded. Throws
 * `BadRequest` when the request would be sent to another path, or when the server would find other parameters in it.
 */
export function checkPath (server: string, path: string): void {
  const proxied = proxiedPath.exec(path)?.[1]
  const segments = path.split('/').slice(1)
  if (proxied !== undefined || discoveryPath.test(path)) segments.pop()
  for (const segment of segments) {
    const name = decodeURIComponent(segment)
    if (name === '' || dots.test(name) || forbidden.test(name)) refuse(name)
  }
  if (proxied !== undefined) for (const part of decodeURIComponent(proxied).split(/[/\\]/)) if (dots.test(part)) refuse(part)
  const base = new URL(`${server}/`)
  const sent = new URL(server + path)
  if (sent.origin !== base.origin || sent.pathname !== base.pathname.slice(0, -1) + path || sent.search + sent.hash !== '') refuse(path)
}

function refuse (name: string): never {
  throw new BadRequest(`${JSON.stringify(name.slice(0, 100))} cannot be in the path of a Kubernetes object: ` +
    'a name is not empty, "." or "..", and has no "/", "%", "\\" or control character.')
}
