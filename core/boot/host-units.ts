// Creates the host's own units that start before any plugin: probes, plugins from discovery to permissions, access, encryption, the container.

import { loadMasterKey } from '../../config/master-key.ts'
import { createAccess, firstRun, prepareAccess, warnOfPairs } from '../access/index.ts'
import type { Kubernetes } from '../contract/index.ts'
import { createEncryption, createKeyRotation, verifyMasterKey, type MasterKeys } from '../encryption/index.ts'
import { createHttp, findRouteProblems } from '../http/index.ts'
import { openProbes, type Probes } from '../http/server/probes.ts'
import type { UnitDefinition } from '../kernel/index.ts'
import { createContainer, createOperatorDecisions, InvalidPlugins, registerBulkhead, trackLeaks, type PluginRooms } from '../plugin-runtime/index.ts'
import { createHostHandle } from './host-handle.ts'
import { rewrapTask } from './host-tasks.ts'
import { planConnections, readOpenFilesLimit } from './open-files.ts'
import { whyDisabled } from './decision-follower.ts'
import { createOperation } from './operation.ts'
import { migratePlugins, migrationsOf } from './plugin-migrations.ts'
import { createFetch, createWork } from './plugin-outlet.ts'
import { createPluginRoster, declarePermissions, findRoleProblems, holdPaths, readPlugins, type FoundPlugins } from './plugin-units.ts'
import { findUser, runForUser } from './request-caller.ts'
import { firstAdminOf, type ResourceUnits } from './resource-units.ts'
import { steadyClock } from './system-clock.ts'
import { hostUnit, ownConnections, type UnitParts } from './unit-context.ts'

/** This unit starts before the first resource and stops last. From here on the host is alive and reports why it is not ready. */
export const createProbesUnit = (parts: UnitParts): UnitDefinition<Probes> => hostUnit(parts)('probes', {}, async (_, { undo }) => {
  const { loaded: { settings }, kernel, log } = parts
  const probes = await openProbes({ port: settings.probes.port, log })
  undo('close', () => probes.close())
  probes.notReady(() => kernel.waiting().map(({ unit, for: why }) => `waiting for ${unit}: ${why}`).join('\n'))
  probes.remark(() => log.findProblem() ?? [])
  log.info({ port: probes.port }, `probes answer on port ${probes.port}: /live, /ready, /health`)
  return probes
})

/** Finds and imports the plugins. This needs no resource, so it runs while the resources open. */
export const createPluginsUnit = (parts: UnitParts, probes: UnitDefinition<Probes>): UnitDefinition<FoundPlugins> =>
  hostUnit(parts)('plugins', { probes }, (_, { undo }) => {
    undo('forget bulkhead', registerBulkhead())
    undo('stop counting stray errors', trackLeaks())
    return readPlugins(parts)
  })

interface Earlier extends ResourceUnits {
  readonly probes: UnitDefinition<Probes>
  readonly plugins: UnitDefinition<FoundPlugins>
}

export type HostUnits = ReturnType<typeof createHostUnits>

export function createHostUnits (parts: UnitParts, earlier: Earlier, kubernetes: Kubernetes) {
  const { probes, plugins, postgres, migrations, valkey, storage, tasks } = earlier
  const { loaded: { settings }, kernel, log, clock, replica } = parts
  const unit = hostUnit(parts)

  const masterKey = unit('master key', { postgres, migrations }, async ({ postgres: { host: database } }) => {
    const { masterKey: { current, previous }, dataPath } = settings
    const keys: MasterKeys = {
      key: await loadMasterKey({ dataPath, configured: current }), previous: previous === '' ? undefined : Buffer.from(previous, 'hex')
    }
    await verifyMasterKey(database, keys)
    return keys
  })

  const access = unit('access', { postgres, valkey, masterKey }, async ({ postgres: { host: database }, valkey }, { undo }) => {
    const { admin: { name }, environment, access: { sessionIdleMs }, archive } = settings
    await prepareAccess(database, environment === 'production' ? log : undefined, { auditIsArchived: archive.auditDays > 0 })
    await warnOfPairs(database, log)
    const first = await firstRun(database, { ...firstAdminOf(settings), log, clock })
    // The password is printed at once and not logged. The operator at the terminal gets it even when a later step fails, and it is stored nowhere.
    if (first.password !== undefined) log.print(`The first admin is "${name}" with the password ${first.password} (shown this once).`)
    const module = await createAccess({ postgres: database, valkey: valkey.host, log, clock, findCallerId: findUser, sessionIdleMs })
    undo('close', () => module.close())
    // Messages that were sent while the connection was down are lost, so cached data may be out of date.
    undo('reconnects', valkey.onReconnect(() => module.forget()))
    return module
  })

  // This unit starts before any plugin seals data and stops after all plugins.
  const encryption = unit('encryption', { postgres, masterKey, tasks }, async ({ postgres: { host: database }, masterKey, tasks }, { undo }) => {
    const module = createEncryption(masterKey, log)
    const keys = createKeyRotation({
      postgres: database, encryption: module, key: masterKey.key, replica, clock, log, requestRewrap: () => tasks.runTask(rewrapTask)
    })
    undo('record that nothing is sealed here any more', await keys.follow())
    return { module, keys }
  })

  // This unit runs after access, so that nothing of a plugin is touched with the wrong master key.
  const pluginMigrations = hostUnit(parts, settings.budgets.migrationMs)('plugin migrations', { postgres, plugins, access, migrations }, async (given, { signal }) => {
    const { plugins: { plugins, failures }, postgres: { roles, url }, migrations: journal } = given
    const problems = findRoleProblems(roles, [...plugins, ...failures].map(({ candidate }) => candidate))
    if (problems.length > 0) throw new InvalidPlugins(problems)
    const unmigrated = await migratePlugins(plugins, { url, log, clock, signal })
    for (const set of plugins.flatMap(({ candidate }) => migrationsOf(candidate))) journal.add(set)
    return unmigrated
  })

  const permissions = unit('permissions', { postgres, plugins, pluginMigrations, access }, ({ plugins: { plugins }, postgres, access }) =>
    declarePermissions(plugins, { postgres, access }))

  const http = unit('dispatcher', { access }, ({ access: { authenticate, permissionsIn, noteRefused } }) => {
    const { budgets: { drainMs }, postgres: { poolMax }, tasks: { maxConnections: taskConnections } } = settings
    const maxConnections = planConnections(readOpenFilesLimit(), poolMax + taskConnections + ownConnections, log)
    return createHttp({
      log, clock: steadyClock, authenticate, permissionsIn, noteRefused, runForUser, settings: { ...settings.http, maxConnections, drainMs }
    })
  })

  const roster = unit('roster', { postgres, access, http, migrations }, ({ http, ...given }, { undo }) => {
    const made = createPluginRoster(parts, { ...given, http, rooms: container })
    undo('hold no paths', parts.onChange(change => holdPaths(change, { roster: made, http, kernel, log })))
    undo('log faults only', parts.handleFaults(made))
    return made
  })

  const host = unit('host', { probes, postgres, valkey, tasks, access, roster }, async (given, { undo }) => {
    const { probes, postgres, valkey, tasks, access, roster } = given
    const choices = createOperatorDecisions({ postgres: postgres.host, valkey: valkey.host, audit: access.access.audit, replica })
    const read = await choices.read()
    const operation = createOperation({ kernel, log, clock, choices, roster, read, lifecycle: () => parts.lifecycle() })
    undo('follow the other replicas', await operation.follow())
    probes.remark(() => [...operation.behind].map(([id, { why }]) => `${id} is not in the state that was set for all replicas: ${why}`))
    const { jobs, retryJob, cancelJob, runTask, forgetPlugin } = tasks
    return {
      host: { ...operation.host, jobs, retryJob, cancelJob, runTask, forgetPlugin },
      disabled: new Map(read.filter(({ isDisabled }) => isDisabled).map(choice => [choice.plugin, whyDisabled(choice)]))
    }
  })

  const opened = { postgres, valkey, storage, tasks, access, encryption, http, host, permissions }
  const container: UnitDefinition<PluginRooms> = unit('container', opened, given => {
    const { postgres, valkey, storage, tasks, access, encryption, http, host } = given
    return {
      container: createContainer({
        postgres: id => postgres.scoped(id),
        valkey: id => valkey.scoped(id),
        storage: id => storage.scoped(id),
        kubernetes: () => kubernetes,
        access: id => access.accessFor(id),
        host: id => createHostHandle(host.host, id),
        encryption: id => encryption.module.scoped(id)
      }),
      clock,
      checkRoutes: findRouteProblems,
      mount: plugin => http.mount(plugin),
      registerTasks: plugin => tasks.register(plugin),
      work: createWork(tasks, valkey.host),
      fetch: createFetch(settings.egress)
    }
  })

  return { masterKey, access, encryption, pluginMigrations, permissions, http, roster, host, container }
}
