// Describes and parses lists and watches of the Kubernetes API in their wire format.

import type { KubernetesObject, KubernetesWatchTarget } from '../../contract/index.ts'

/** One page of a list. */
export interface List {
  apiVersion: string
  kind: string
  metadata: { resourceVersion: string, continue?: string }
  items: Omit<KubernetesObject, 'apiVersion' | 'kind'>[]
}

export type WatchEvent =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK', object: KubernetesObject }
  | { type: 'ERROR', object: Status }

interface Status { code?: number, message?: string }

/**
 * Thrown when the cluster reports, in the middle of a watch, an error that it could not report before its answer began.
 */
export class WatchRefused extends Error {
  readonly code: number
  readonly headers: Record<string, string> = {}

  constructor ({ code = 500, message = 'without a word' }: Status) {
    super(`The cluster ended the watch with ${code}: ${message}`)
    this.name = 'WatchRefused'
    this.code = code
  }
}

export async function* linesOf (stream: ReadableStream<Uint8Array> | null): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream ?? []) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest.trim() !== '') throw new Error('The answer of the Kubernetes cluster was cut short.')
}

const pathPattern = /^(\/api\/v1|\/apis\/[a-z0-9.-]+\/[a-z0-9]+)\/([a-z0-9.-]+)$/

/**
 * Returns a function that adds a query to the path of the target. Throws `TypeError` when the target's path is not a
 * resource.
 */
export function pathOf ({ path, namespace, labelSelector, fieldSelector }: KubernetesWatchTarget): (query: Record<string, string>) => string {
  const [, group, resource] = pathPattern.exec(path) ?? []
  if (group === undefined || resource === undefined) {
    throw new TypeError(`"${path}" is not the path of a resource such as /api/v1/pods or /apis/apps/v1/deployments; the namespace goes into \`namespace\``)
  }
  const place = namespace === undefined ? path : `${group}/namespaces/${encodeURIComponent(namespace)}/${resource}`
  const selectors = { ...labelSelector !== undefined && { labelSelector }, ...fieldSelector !== undefined && { fieldSelector } }
  return query => {
    const text = new URLSearchParams({ ...selectors, ...query }).toString()
    return text === '' ? place : `${place}?${text}`
  }
}
