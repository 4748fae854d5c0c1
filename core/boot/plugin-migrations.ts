// Runs the migrations of the plugins that were found, before any of them starts.

import type { Candidate } from '../plugin-runtime/index.ts'
import { migrateAll, MigrationFailed, MigrationsRefused, type MigrationSet } from '../resources/migrations/migrations.ts'
import type { UnitParts } from './unit-context.ts'

export const migrationsOf = ({ id, migrations }: Candidate): MigrationSet[] =>
  migrations === undefined ? [] : [{ owner: id, folder: migrations, schema: id }]

/**
 * Migrates all plugins together first, because most starts have nothing to do. When one plugin cannot be migrated, each is migrated by itself,
 * so that a plugin that is not required does not keep the others from starting. The plugins that failed, and those that require them, are
 * migrated when they start.
 */
export async function migratePlugins ({ opened, log, clock }: Pick<UnitParts, 'opened' | 'log' | 'clock'>, signal: AbortSignal): Promise<void> {
  const { databaseUrl: url, found } = opened
  const candidates = inOrderOfNeed(found.plugins.map(({ candidate }) => candidate))
  const migrate = async (some: readonly Candidate[]): Promise<void> => {
    await migrateAll({ url, sets: some.flatMap(migrationsOf), log, clock, signal })
  }
  try {
    await migrate(candidates)
    return
  } catch (error) {
    if (!isOfOnePlugin(error)) throw error
  }
  const unmigrated = new Set<string>()
  for (const candidate of candidates) {
    const { id, manifest: { requires, readiness } } = candidate
    if (Object.keys(requires).some(need => unmigrated.has(need))) {
      unmigrated.add(id)
      continue
    }
    try {
      await migrate([candidate])
    } catch (error) {
      if (!isOfOnePlugin(error) || readiness === 'required') throw error
      // The start of the plugin runs them once more and reports why they fail.
      unmigrated.add(id)
    }
  }
  opened.found = { ...found, unmigrated }
}

/** Whether the error concerns the migrations of one plugin, and not the database. */
const isOfOnePlugin = (error: unknown): boolean => error instanceof MigrationFailed || error instanceof MigrationsRefused

/** Sorts the plugins so that each comes after those that it requires. */
function inOrderOfNeed (candidates: readonly Candidate[]): readonly Candidate[] {
  const byId = new Map(candidates.map(candidate => [candidate.id, candidate]))
  const ordered = new Set<Candidate>()
  const visit = (candidate: Candidate): void => {
    for (const id of Object.keys(candidate.manifest.requires)) {
      const need = byId.get(id)
      if (need !== undefined && !ordered.has(need)) visit(need)
    }
    ordered.add(candidate)
  }
  candidates.forEach(visit)
  return [...ordered]
}
