// The operations on secrets. Each change is one transaction with its event and its audit log entry; neither the event
// nor the entry contains the value.

import { randomUUID } from 'node:crypto'
import { Conflict, NotFound, ValidationFailed, type Access, type Encryption, type Events, type Postgres, type Transaction, type User } from 'bulkhead'
import type { NewValue, Page, Revealed, Scope, Secret, SecretVersion } from './form.ts'
import { changesProcess } from './process-name.ts'
import type { Project } from './project.ts'
import { deleteRow, findRow, findVersion, insertRow, listRows, listVersions, lockRow, replaceRow, requireRow, undeleteRow, withoutValue, type Row } from './row.ts'
import { openValue, sealValue } from './sealed-value.ts'

export interface Parts {
  readonly postgres: Postgres
  readonly access: Access
  readonly encryption: Encryption
  readonly events: Events
}

/** The caller and the address of the request. */
export interface By {
  readonly user: User
  readonly address: string
}

/** Thrown when the secret is not at the version that the caller expects. */
export class AtAnotherVersion extends Conflict {
  override readonly errors

  constructor (name: string, current: number, expected: number) {
    super(current === 0 ? `There is no secret "${name}", so it is not at version ${expected}.` : `The secret "${name}" is at version ${current}, not ${expected}.`)
    this.errors = [{ path: 'version', message: `The current version is ${current}.` }]
  }
}

/** The owner of a secret: a project, or null for the platform. */
type Owner = Project | null

type Change = 'create' | 'replace' | 'rollback' | 'delete' | 'undelete'

/**
 * The limit of retries in `put`. Another request may create a secret of the same name at the same moment; the retry
 * then replaces it.
 */
const triesMax = 5

export function createSecrets ({ postgres, access, encryption, events }: Parts) {
  const idOf = (owner: Owner): string | null => owner?.id ?? null

  const tell = async (tx: Transaction, change: Change, row: Omit<Row, 'envelope'>, project: Owner, { user, address }: By): Promise<void> => {
    const { id, name, scope, version } = row
    await access.audit.record(tx, {
      actor: user, action: `secret.${change}`, resource: 'secret', resourceId: id, projectId: row.projectId, detail: { name, scope, version }, origin: { address }
    })
    await events.publish(change === 'delete' ? 'secret.deleted' : 'secret.changed', {
      actor: { id: user.id, name: user.name }, project, at: new Date().toISOString(), change, secret: { id, name, scope, version }
    }, { in: tx, key: row.projectId ?? 'global' })
  }

  const read = async (tx: Transaction, project: Owner, name: string): Promise<Row> => requireRow(await findRow(tx, idOf(project), name), name)

  const create = async (tx: Transaction, project: Owner, name: string, { scope = 'pipeline', ...value }: NewValue, by: By): Promise<Row | undefined> => {
    checkScope(name, scope)
    const place = { id: randomUUID(), projectId: idOf(project), name, scope, version: 1 }
    if (!await insertRow(tx, { ...place, envelope: sealValue(encryption, value, place), writtenBy: by.user.id })) return undefined
    const row = await read(tx, project, name)
    await tell(tx, 'create', row, project, by)
    return row
  }

  const replace = async (
    tx: Transaction, project: Owner, before: Row, { scope, ...value }: Pick<NewValue, 'encoding' | 'value'> & { scope: Scope }, change: Change, by: By
  ): Promise<Row> => {
    checkScope(before.name, scope)
    const place = { ...before, scope, version: before.version + 1 }
    await replaceRow(tx, before, { ...place, envelope: sealValue(encryption, value, place), writtenBy: by.user.id })
    const row = await read(tx, project, before.name)
    await tell(tx, change, row, project, by)
    return row
  }

  const put = async (tx: Transaction, project: Owner, name: string, input: NewValue, by: By): Promise<Secret> => {
    for (let tries = 0; tries < triesMax; tries++) {
      const before = await lockRow(tx, idOf(project), name)
      // A deleted secret counts as none when the caller expects version 0.
      if (input.version !== undefined && !(input.version === 0 && before?.deletedAt !== null)) checkVersion(name, before, input.version)
      const { scope = before?.scope ?? 'pipeline' } = input
      const row = before === undefined ? await create(tx, project, name, input, by) : await replace(tx, project, before, { ...input, scope }, 'replace', by)
      if (row !== undefined) return withoutValue(row)
    }
    throw new Conflict(`The secret "${name}" is made and removed by others at the same time. Try again.`)
  }

  return {
    list: (project: Owner, page: Page & { deleted: boolean }) => listRows(postgres, idOf(project), page),

    /** Finds a secret, also a deleted one. */
    find: async (project: Owner, name: string): Promise<Secret> => withoutValue(requireRow(await findRow(postgres, idOf(project), name), name)),

    /** Creates the secret, or gives it a new value as the next version. A deleted secret is undeleted. */
    put: (project: Owner, name: string, input: NewValue, by: By): Promise<Secret> =>
      postgres.transaction(tx => put(tx, project, name, input, by)),

    /** Marks the secret as deleted. Its versions stay stored and its name stays taken. */
    remove: (project: Owner, name: string, version: number | undefined, by: By): Promise<void> => postgres.transaction(async tx => {
      const row = requireLive(await lockRow(tx, idOf(project), name), name)
      if (version !== undefined) checkVersion(name, row, version)
      await deleteRow(tx, row, by.user.id)
      await tell(tx, 'delete', row, project, by)
    }),

    undelete: (project: Owner, name: string, by: By): Promise<Secret> => postgres.transaction(async tx => {
      const before = requireRow(await lockRow(tx, idOf(project), name), name)
      if (before.deletedAt === null) throw new Conflict(`The secret "${name}" is not deleted.`)
      await undeleteRow(tx, before)
      const row = await read(tx, project, name)
      await tell(tx, 'undelete', row, project, by)
      return withoutValue(row)
    }),

    versions: async (project: Owner, name: string): Promise<SecretVersion[]> =>
      listVersions(postgres, requireRow(await findRow(postgres, idOf(project), name), name)),

    /** Makes the value and scope of version `to` the next version. */
    rollback: (project: Owner, name: string, { to, version }: { to: number, version?: number | undefined }, by: By): Promise<Secret> =>
      postgres.transaction(async tx => {
        const before = requireLive(await lockRow(tx, idOf(project), name), name)
        if (version !== undefined) checkVersion(name, before, version)
        if (to === before.version) throw new Conflict(`The secret "${name}" is at version ${to}.`)
        const then = await findVersion(tx, before, to)
        return withoutValue(await replace(tx, project, before, { scope: then.scope, ...openValue(encryption, then.envelope, then) }, 'rollback', by))
      }),

    /** Resolves with the value, in the same transaction that records the access in the audit log. */
    reveal: (project: Owner, name: string, version: number | undefined, { user, address }: By): Promise<Revealed> =>
      postgres.transaction(async tx => {
        const row = requireLive(await findRow(tx, idOf(project), name), name)
        const shown = await findVersion(tx, row, version ?? row.version)
        const value = openValue(encryption, shown.envelope, shown)
        await access.audit.record(tx, {
          actor: user, action: 'secret.reveal', resource: 'secret', resourceId: row.id, projectId: row.projectId,
          detail: { name, scope: shown.scope, version: shown.version }, origin: { address }
        })
        return { name, version: shown.version, ...value }
      })
  }
}

export type Secrets = ReturnType<typeof createSecrets>

function checkVersion (name: string, row: Row | undefined, expected: number): void {
  const current = row?.version ?? 0
  if (current !== expected) throw new AtAnotherVersion(name, current, expected)
}

function checkScope (name: string, scope: Scope): void {
  if ((scope !== 'agent' && scope !== 'all') || !changesProcess(name)) return
  throw new ValidationFailed([{
    path: 'body.scope', message: `"${name}" as a variable changes how a process runs, so no agent may be given it. Choose another name, or the scope "pipeline" or "deploy".`
  }])
}

function requireLive (row: Row | undefined, name: string): Row {
  const found = requireRow(row, name)
  if (found.deletedAt !== null) throw new NotFound(`The secret "${name}" was deleted. Undelete it, or give it a new value.`)
  return found
}
