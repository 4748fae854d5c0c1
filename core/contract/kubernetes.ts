// The cluster as a plugin sees it. Where there is none the handle is still there and says so.

import type { CoreV1Api, AppsV1Api, BatchV1Api, CustomObjectsApi } from '@kubernetes/client-node'

export interface KubernetesApis {
  core: CoreV1Api
  apps: AppsV1Api
  batch: BatchV1Api
  custom: CustomObjectsApi
}

/** An object as the API writes it: JSON, so times are ISO 8601 text. */
export interface KubernetesObject {
  apiVersion: string
  kind: string
  metadata: {
    name: string
    namespace?: string
    uid: string
    resourceVersion: string
    creationTimestamp: string
    deletionTimestamp?: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
  }
}

export interface KubernetesWatchTarget {
  /** Of the resource, without a namespace: `/api/v1/pods`, `/apis/apps/v1/deployments`. */
  path: string
  /** All of them unless said. */
  namespace?: string
  /** `app=web,tier!=cache` */
  labelSelector?: string
  /** `metadata.name=web` */
  fieldSelector?: string
}

/** Of what was deleted, `object` is its last known state. */
export interface KubernetesChange<T extends KubernetesObject = KubernetesObject> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED'
  object: T
}

export interface Kubernetes {
  readonly state: 'available' | 'absent'
  /** Why it is absent, or which cluster it is. */
  readonly detail: string
  /**
   * Runs one call under a deadline of `deadlineMs` (5,000 unless said) and maps its error: 404 → NotFound, 409 → Conflict, 403 → Forbidden,
   * 429 → TooManyRequests, no answer → ServiceUnavailable, the rest → BadGateway. Absent: ServiceUnavailable.
   * A parameter that would lead the request to another object (empty, `.`, `..`, with a slash) → BadRequest, before anything is sent.
   */
  call<T> (request: (apis: KubernetesApis) => Promise<T>, options?: { deadlineMs?: number }): Promise<T>
  /**
   * Keeps up with the objects of one resource: calls `handler` with each that is there (`ADDED`), then with each change, in order and one at a time.
   * Resolves once all that were there have been handed over, rejects as `call` does when they cannot be listed; call the result to leave.
   * From then on a connection that breaks is taken up again, and what changed or vanished meanwhile is told as changes; several changes of one object
   * may arrive as one. What `handler` throws is logged, and the next change comes all the same. `T` is not checked.
   */
  watch<T extends KubernetesObject = KubernetesObject> (
    target: KubernetesWatchTarget, handler: (change: KubernetesChange<T>) => void | Promise<void>
  ): Promise<() => Promise<void>>
}
