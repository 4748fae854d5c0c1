// The Kubernetes cluster as a plugin sees it. Without a cluster the handle still exists and its `state` is `absent`.

import type { CoreV1Api, AppsV1Api, BatchV1Api, CustomObjectsApi } from '@kubernetes/client-node'

export interface KubernetesApis {
  core: CoreV1Api
  apps: AppsV1Api
  batch: BatchV1Api
  custom: CustomObjectsApi
}

/** An object as the API returns it. It is JSON, so times are ISO 8601 text. */
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
  /** The API path of the resource, without a namespace: `/api/v1/pods`, `/apis/apps/v1/deployments`. */
  path: string
  /** The namespace to watch. The default is all namespaces. */
  namespace?: string
  /** A label selector: `app=web,tier!=cache`. */
  labelSelector?: string
  /** A field selector: `metadata.name=web`. */
  fieldSelector?: string
}

/** One change of an object. For `DELETED`, `object` is the last known state. */
export interface KubernetesChange<T extends KubernetesObject = KubernetesObject> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED'
  object: T
}

export interface Kubernetes {
  readonly state: 'available' | 'absent'
  /** The reason why the cluster is absent, or the version and address of the connected cluster. */
  readonly detail: string
  /**
   * Runs one call with a deadline of `deadlineMs` (default 5,000) and maps its error: 404 → NotFound, 409 → Conflict,
   * 403 → Forbidden, 429 → TooManyRequests, no answer → ServiceUnavailable, all others → BadGateway. Without a cluster
   * it rejects with ServiceUnavailable. A parameter that would lead the request to another object (empty, `.`, `..`, or
   * with a slash) is a BadRequest, and nothing is sent.
   */
  call<T> (request: (apis: KubernetesApis) => Promise<T>, options?: { deadlineMs?: number }): Promise<T>
  /**
   * Follows the objects of one resource. It calls `handler` with each existing object (`ADDED`), then with each change,
   * in order and one at a time. Resolves once all existing objects have been handed over, with a function that ends the
   * watch. Rejects as `call` does when the objects cannot be listed.
   *
   * A broken connection is opened again, and objects that changed or vanished meanwhile arrive as changes; several
   * changes of one object may arrive as one. An error that `handler` throws is logged, and the next change follows as
   * usual. `T` is not checked at run time.
   */
  watch<T extends KubernetesObject = KubernetesObject> (
    target: KubernetesWatchTarget, handler: (change: KubernetesChange<T>) => void | Promise<void>
  ): Promise<() => Promise<void>>
}
