// The cluster as a plugin sees it. Where there is none the handle is still there and says so.

import type { CoreV1Api, AppsV1Api, BatchV1Api, CustomObjectsApi } from '@kubernetes/client-node'

export interface KubernetesApis {
  core: CoreV1Api
  apps: AppsV1Api
  batch: BatchV1Api
  custom: CustomObjectsApi
}

export interface Kubernetes {
  readonly state: 'available' | 'absent'
  /** Why it is absent, or which cluster it is. */
  readonly detail: string
  /**
   * Runs one call under a deadline of `deadlineMs` (5,000 unless said) and maps its error: 404 → NotFound, 409 → Conflict, 403 → Forbidden,
   * 429 → TooManyRequests, no answer → ServiceUnavailable, the rest → BadGateway. Absent: ServiceUnavailable.
   */
  call<T> (request: (apis: KubernetesApis) => Promise<T>, options?: { deadlineMs?: number }): Promise<T>
}
