// Creates the host's own units that start before any plugin: probes, plugins from discovery to permissions, access, encryption, the container.

import { randomUUID } from 'node:crypto'
import { loadMasterKey } from '../../config/master-key.ts'
import { createAccess, firstRun, prepareAccess, warnOfPairs } from '../access/index.ts'
import { createEncryption, createKeyRotation, verifyMasterKey } from '../encryption/index.ts'
import { createHttp } from '../http/index.ts'
import { openProbes } from '../http/server/probes.ts'
import type { UnitDefinition } from '../kernel/index.ts'
import { trackLeaks, createContainer, createOperatorDecisions, InvalidPlugins, registerBulkhead } from '../plugin-runtime/index.ts'
import { createHostHandle } from './host-handle.ts'
import { rewrapTask } from './host-tasks.ts'
import { planConnections, readOpenFilesLimit } from './open-files.ts'
import { createOperation } from './operation.ts'
import { migratePlugins } from './plugin-migrations.ts'
import { declarePermissions, findRoleProblems, readPlugins } from './plugin-units.ts'
import { findUser, runForUser } from './request-caller.ts'
import { createKubernetesHandle } from './resource-units.ts'
import { steadyClock } from './system-clock.ts'
import { hostUnit, type UnitParts } from './unit-context.ts'

type HostUnit = 'probes' | 'plugins' | 'pluginMigrations' | 'access' | 'encryption' | 'permissions' | 'host' | 'container'

export function createHostUnits (parts: UnitParts): Record<HostUnit, UnitDefinition> {
  const { loaded: { settings }, opened, kernel, log, clock } = parts
  const unit = hostUnit(parts)
  const migration = hostUnit(parts, settings.budgets.migrationMs)
  const replica = randomUUID()

  return {
    /** This unit starts before the first resource and stops last. From here on the host is alive and reports why it is not ready. */
    probes: unit('probes', [], async ({ undo }) => {
      const probes = await openProbes({ port: settings.probes.port, log })
      undo('close', () => probes.close())
      probes.notReady(() => kernel.waiting().map(({ unit, for: why }) => `waiting for ${unit}: ${why}`).join('\n'))
      opened.probes = probes
      log.info({ port: probes.port }, `probes answer on port ${probes.port}: /live, /ready, /health`)
    }),

    plugins: unit('plugins', ['probes'], async ({ undo }) => {
      undo('forget bulkhead', registerBulkhead())
      undo('count no strays', trackLeaks())
      await readPlugins(parts)
    }),

    // This unit runs after access, so that nothing of a plugin is touched with the wrong master key.
    pluginMigrations: migration('plugin migrations', ['plugins', 'access'], async ({ signal }) => {
      const problems = findRoleProblems(opened, [...opened.found.plugins, ...opened.found.failures].map(({ candidate }) => candidate))
      if (problems.length > 0) throw new InvalidPlugins(problems)
      await migratePlugins(parts, signal)
    }),

    access: unit('access', ['migrations', 'valkey'], async ({ undo }) => {
      const { postgres: { host: postgres }, valkey } = opened
      const { admin, masterKey, dataPath, environment, archive } = settings
      await prepareAccess(postgres, environment === 'production' ? log : undefined, { auditIsArchived: archive.auditDays > 0 })
      await warnOfPairs(postgres, log)
      const previous = masterKey.previous === '' ? undefined : Buffer.from(masterKey.previous, 'hex')
      const keys = { key: await loadMasterKey({ dataPath, configured: masterKey.current }), previous }
      await verifyMasterKey(postgres, keys)
      opened.encryption = createEncryption(keys, log)
      opened.keys = createKeyRotation({
        postgres, encryption: opened.encryption, key: keys.key, replica, clock, log,
        requestRewrap: () => opened.tasks.runTask(rewrapTask)
      })
      const first = await firstRun(postgres, {
        admin: { name: admin.name, email: admin.email || undefined, password: admin.password || undefined }, requirePassword: environment === 'production', log
      })
      // The password is printed at once and not logged. The operator at the terminal gets it even when a later step fails, and it is stored nowhere.
      if (first.password !== undefined) log.print(`The first admin is "${admin.name}" with the password ${first.password} (shown this once).`)
      const access = await createAccess({
        postgres, valkey: valkey.host, log, clock, findCallerId: findUser, sessionIdleMs: settings.access.sessionIdleMs
      })
      undo('close', () => access.close())
      // Messages that were sent while the connection was down are lost, so cached data may be out of date.
      undo('reconnects', valkey.onReconnect(() => access.forget()))
      opened.access = access
    }),

    // This unit starts before any plugin seals data and stops after all plugins.
    encryption: unit('encryption', ['access'], async ({ undo }) => {
      undo('tell that nothing is sealed here any more', await opened.keys.follow())
    }),

    permissions: unit('permissions', ['plugin migrations'], async () => {
      await declarePermissions(opened, opened.found.plugins)
    }),

    host: unit('host', ['plugins', 'access', 'valkey', 'tasks'], async ({ undo }) => {
      const { postgres: { host: postgres }, valkey } = opened
      const choices = createOperatorDecisions({ postgres, valkey: valkey.host, audit: opened.access.access.audit, replica })
      opened.choices = await choices.read()
      opened.operation = createOperation({
        kernel, log, clock, choices, roster: opened.roster, read: opened.choices, lifecycle: () => opened.lifecycle
      })
      const { jobs, retryJob, cancelJob, runTask, forgetPlugin } = opened.tasks
      opened.host = { ...opened.operation.host, jobs, retryJob, cancelJob, runTask, forgetPlugin }
      undo('follow the other replicas', await opened.operation.follow())
      opened.probes.remark(() => [...opened.operation.behind].map(([id, { why }]) => `${id} is not as was asked of all replicas: ${why}`))
    }),

    container: unit('container', ['postgres', 'valkey', 'storage', 'access', 'host', 'encryption'], () => {
      opened.container = createContainer({
        postgres: id => opened.postgres.scoped(id),
        valkey: id => opened.valkey.scoped(id),
        storage: id => opened.storage.scoped(id),
        kubernetes: () => createKubernetesHandle(parts),
        access: id => opened.access.accessFor(id),
        host: id => createHostHandle(opened.host, id),
        encryption: id => opened.encryption.scoped(id)
      })
      const { authenticate, permissionsIn, noteRefused } = opened.access
      const { http, budgets: { drainMs }, postgres, tasks } = settings
      const maxConnections = planConnections(readOpenFilesLimit(), postgres.poolMax + tasks.maxConnections + ownConnections, log)
      opened.http = createHttp({
        log, clock: steadyClock, authenticate, permissionsIn, noteRefused, runForUser, settings: { ...http, maxConnections, drainMs }
      })
    })
  }
}

/** Database connections beside the pools: for migrations, for the health check and for the database's notifications. */
const ownConnections = 4
