// Creates the units of the resources (Postgres, Valkey, storage, tasks, Kubernetes). Each is opened as soon as what it needs is open;
// independent ones are opened at the same time.

import { join } from 'node:path'
import type { Settings } from '../../config/schema.ts'
import { checkFirstAdmin, type FirstRunParts } from '../access/index.ts'
import type { Kubernetes } from '../contract/index.ts'
import type { OpenParts, Resource } from '../handover/resource.ts'
import { defineUnit, UnitHeld, type Kernel, type UnitDefinition } from '../kernel/index.ts'
import { isNewer, runAs } from '../plugin-runtime/index.ts'
import type { Probes } from '../http/server/probes.ts'
import { createAbsentKubernetes } from '../resources/kubernetes/kubernetes-client.ts'
import { JournalWatch } from '../resources/migrations/migration-watch.ts'
import { hostSets, migrateAll, type MigrationSet } from '../resources/migrations/migrations.ts'
import { openPostgres, type PostgresClient } from '../resources/postgres/postgres-resource.ts'
import { openTasks } from '../tasks/index.ts'
import { maskPasswords } from '../telemetry/mask.ts'
import { createValueMask } from '../telemetry/value-mask.ts'
import type { FoundPlugins } from './plugin-units.ts'
import { findUser } from './request-caller.ts'
import { hostLimits, ownConnections, resourceUnit, type UnitParts } from './unit-context.ts'

export const firstAdminOf = ({ admin: { name, email, password }, environment }: Settings): Pick<FirstRunParts, 'admin' | 'requirePassword'> =>
  ({ admin: { name, email: email || undefined, password: password || undefined }, requirePassword: environment === 'production' })

export type ResourceUnits = ReturnType<typeof createResourceUnits>

export function createResourceUnits (parts: UnitParts, probes: UnitDefinition<Probes>) {
  const { loaded: { settings }, log, clock, root } = parts
  const { valkey: valkeySettings, storage: storageSettings, dataPath, tasks: taskSettings, budgets } = settings
  const maskValues = createValueMask(parts.loaded.secrets)
  const mask = (text: string): string => maskPasswords(maskValues(text))
  const open = (url: string, openParts: OpenParts): Promise<Resource<PostgresClient>> =>
    openPostgres({ ...settings.postgres, url, otherConnections: taskSettings.maxConnections + ownConnections }, openParts, findUser)

  const embeddedPostgres = resourceUnit(parts, { id: 'embedded postgres' }, { probes }, async openParts =>
    (await import('../resources/embedded/embedded-postgres.ts')).openEmbeddedPostgres({ dataPath }, openParts))
  const isEmbedded = settings.postgres.url === ''
  const postgres = isEmbedded
    ? resourceUnit(parts, { id: 'postgres' }, { embeddedPostgres }, (openParts, { embeddedPostgres: { url } }) => open(url, openParts))
    : resourceUnit(parts, { id: 'postgres' }, { probes }, openParts => open(settings.postgres.url, openParts))
  const migrationLimits = { ...hostLimits(parts, budgets.migrationMs), id: 'migrations' }
  const migrations = defineUnit(migrationLimits, { postgres, probes }, async ({ postgres: { url, host }, probes }, { signal }) => {
    const sets = hostSets(root)
    await checkFirstAdmin(host, firstAdminOf(settings))
    await migrateAll({ url, sets, log, clock, signal })
    const journal = new JournalWatch(host, clock.now)
    for (const set of sets) journal.add(set)
    probes.remark(() => journal.describe())
    return { value: journal, check: () => checkJournal(journal, sets, parts.kernel) }
  })
  const valkey = resourceUnit(parts, { id: 'valkey' }, { probes }, async openParts => valkeySettings.url === ''
    ? (await import('../resources/embedded/embedded-valkey.ts')).openEmbeddedValkey(openParts)
    : (await import('../resources/valkey/valkey-resource.ts')).openValkey(valkeySettings, openParts))
  const storage = resourceUnit(parts, { id: 'storage' }, { probes }, async openParts => {
    const place = storageSettings.endpoint === '' ? { kind: 'folder', path: join(dataPath, 'objects') } as const : { kind: 's3', ...storageSettings } as const
    return (await import('../resources/storage/storage-resource.ts')).openStorage(place, openParts, { deadlineMs: storageSettings.timeoutMs })
  })
  const tasks = resourceUnit(parts, { id: 'tasks' }, { postgres }, (openParts, { postgres: { forTasks } }) =>
    openTasks({ connections: forTasks, ...taskSettings, drainMs: budgets.drainMs, isNewer, mask }, openParts))
  return { ...isEmbedded && { embeddedPostgres }, postgres, migrations, valkey, storage, tasks }
}

/** A newer version may have applied migrations that this one cannot work with: the host is not ready then, a plugin is quarantined. */
async function checkJournal (journal: JournalWatch, hostSets: readonly MigrationSet[], kernel: Kernel): Promise<void> {
  await journal.read().catch(() => { /* The check of postgres reports a database that does not answer. */ })
  const broken = journal.broken()
  const why = hostSets.map(({ owner }) => broken.get(owner)).find(sentence => sentence !== undefined)
  if (why !== undefined) throw new Error(why)
  for (const [plugin, reason] of broken) kernel.fail(plugin, new Error(reason))
}

/**
 * Creates the unit of the cluster, and the handle on the cluster of the moment, which also serves plugins that started before the cluster was
 * available. The unit starts together with the plugins, because the start of the host does not wait for a cluster.
 */
export function createKubernetes (parts: UnitParts, { probes, plugins }: { probes: UnitDefinition<Probes>, plugins: UnitDefinition<FoundPlugins> }) {
  const { loaded: { settings: { kubernetes, budgets } }, kernel } = parts
  const kubeconfig = kubernetes.kubeconfig === '' ? undefined : kubernetes.kubeconfig
  const inCluster = process.env.KUBERNETES_SERVICE_HOST !== undefined
  let current: Kubernetes | undefined
  const now = (): Kubernetes => current ?? createAbsentKubernetes(kernel.unit('kubernetes')?.reason ?? 'it has not been opened')
  const handle: Kubernetes = {
    get state () { return now().state },
    get detail () { return now().detail },
    call: (...args) => now().call(...args),
    watch: (...args) => now().watch(...args)
  }
  const unit = resourceUnit(parts, {
    id: 'kubernetes',
    required: false,
    startBudgetMs: Math.min(budgets.resourceStartMs, 10_000),
    // A cluster that becomes available later is found, and the plugins that are held for it start.
    recover: { firstMs: 1_000, maxMs: 30_000, resetAfterMs: 60_000 }
  }, { probes, plugins }, async (openParts, { plugins: found }) => {
    const isAsked = [...found.plugins, ...found.failures].some(({ candidate }) => candidate.manifest.resources.includes('kubernetes'))
    if (!isAsked && (kubeconfig !== undefined || inCluster)) throw new UnitHeld('no plugin asks for the cluster, so it was not contacted')
    const resource = await (await runAs(undefined, () => import('../resources/kubernetes/kubernetes-client.ts'))).openKubernetes({ kubeconfig, inCluster }, openParts)
    // An absent cluster is a state, not a failure: a plugin that needs it is held, and one that tolerates its absence gets a handle that says so.
    if (resource.value.state === 'absent') throw new UnitHeld(resource.value.detail)
    openParts.signal.throwIfAborted()
    current = resource.value
    return resource
  })
  return { unit, handle }
}
