// Creates the units of the resources (Postgres, Valkey, storage, tasks, Kubernetes). Each is opened as soon as what it needs is open;
// independent ones are opened at the same time.

import { join } from 'node:path'
import type { Kubernetes } from '../contract/index.ts'
import { UnitHeld, type UnitDefinition } from '../kernel/index.ts'
import { isNewer, runAs } from '../plugin-runtime/index.ts'
import { createAbsentKubernetes } from '../resources/kubernetes/kubernetes-client.ts'
import { hostSets, migrateAll } from '../resources/migrations/migrations.ts'
import { openPostgres } from '../resources/postgres/postgres-resource.ts'
import { withSessionOptions } from '../resources/postgres/postgres-session-options.ts'
import { openTasks } from '../tasks/index.ts'
import { maskPasswords, maskValues } from '../telemetry/mask.ts'
import { findUser } from './request-caller.ts'
import { hostUnit, resourceUnit, type UnitParts } from './unit-context.ts'

export function createResourceUnits (parts: UnitParts): UnitDefinition[] {
  const { loaded: { settings }, opened, log, clock, root } = parts
  const { postgres, valkey, storage, dataPath, tasks, budgets } = settings
  const mask = (text: string): string => maskValues(maskPasswords(text), parts.loaded.secrets())
  const isEmbedded = postgres.url === ''
  opened.databaseUrl = postgres.url

  const embeddedPostgres = resourceUnit(parts, {
    id: 'embedded postgres',
    open: async openParts => (await import('../resources/embedded/embedded-postgres.ts')).openEmbeddedPostgres({ dataPath }, openParts),
    keep: ({ url }) => { opened.databaseUrl = url }
  })
  return [
    ...isEmbedded ? [embeddedPostgres] : [],
    resourceUnit(parts, {
      id: 'postgres',
      needs: isEmbedded ? [embeddedPostgres.id] : [],
      open: openParts => openPostgres({ ...postgres, url: opened.databaseUrl }, openParts, findUser),
      keep: value => { opened.postgres = value }
    }),
    hostUnit(parts, budgets.migrationMs)('migrations', ['postgres'], async ({ signal }) => {
      await migrateAll({ url: opened.databaseUrl, sets: hostSets(root), log, clock, signal })
    }),
    resourceUnit(parts, {
      id: 'valkey',
      open: async openParts => valkey.url === ''
        ? (await import('../resources/embedded/embedded-valkey.ts')).openEmbeddedValkey(openParts)
        : (await import('../resources/valkey/valkey-resource.ts')).openValkey(valkey, openParts),
      keep: value => { opened.valkey = value }
    }),
    resourceUnit(parts, {
      id: 'storage',
      open: async openParts => (await import('../resources/storage/storage-resource.ts')).openStorage(
        storage.endpoint === '' ? { kind: 'folder', path: join(dataPath, 'objects') } : { kind: 's3', ...storage }, openParts, { deadlineMs: storage.timeoutMs }),
      keep: value => { opened.storage = value }
    }),
    resourceUnit(parts, {
      id: 'tasks',
      needs: ['postgres'],
      open: openParts => openTasks({ url: withSessionOptions(opened.databaseUrl), ...tasks, drainMs: budgets.drainMs, isNewer, mask }, openParts),
      keep: value => { opened.tasks = value }
    })
  ]
}

/** The unit is created once the plugins are known: a cluster that no plugin asks for is not contacted, and the start does not wait for it. */
export function createKubernetesUnit (parts: UnitParts): UnitDefinition {
  const { loaded: { settings: { kubernetes, budgets } }, opened } = parts
  const { plugins, failures } = opened.found
  const isAsked = [...plugins, ...failures].some(({ candidate }) => candidate.manifest.resources.includes('kubernetes'))
  const kubeconfig = kubernetes.kubeconfig === '' ? undefined : kubernetes.kubeconfig
  const inCluster = process.env.KUBERNETES_SERVICE_HOST !== undefined
  return resourceUnit(parts, {
    id: 'kubernetes',
    required: false,
    startBudgetMs: Math.min(budgets.resourceStartMs, 10_000),
    // A cluster that becomes available later is found, and the plugins that are held for it start.
    recover: { firstMs: 1_000, maxMs: 30_000, resetAfterMs: 60_000 },
    open: async openParts => {
      if (!isAsked && (kubeconfig !== undefined || inCluster)) throw new UnitHeld('no plugin asks for the cluster, so it was not contacted')
      const resource = await (await runAs(undefined, () => import('../resources/kubernetes/kubernetes-client.ts'))).openKubernetes({ kubeconfig, inCluster }, openParts)
      // An absent cluster is a state, not a failure: a plugin that needs it is held, and one that tolerates its absence gets a handle that says so.
      if (resource.value.state === 'absent') throw new UnitHeld(resource.value.detail)
      return resource
    },
    keep: value => { opened.kubernetes = value }
  })
}

/** The handle uses the cluster of the moment, also for a plugin that started before the cluster was available. */
export function createKubernetesHandle ({ opened, kernel }: UnitParts): Kubernetes {
  const now = (): Kubernetes => opened.kubernetes ?? createAbsentKubernetes(kernel.unit('kubernetes')?.reason ?? 'it has not been opened')
  return {
    get state () { return now().state },
    get detail () { return now().detail },
    call: (...args) => now().call(...args),
    watch: (...args) => now().watch(...args)
  }
}
