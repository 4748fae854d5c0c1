// Runs the migrations of the plugins that were found, before any of them starts.

import { hasChanged, type Candidate, type LoadedPlugin } from '../plugin-runtime/index.ts'
import { migrateAll, MigrationFailed, MigrationsRefused, type MigrateAllParts, type MigrationSet } from '../resources/migrations/migrations.ts'

export const migrationsOf = ({ id, version, migrations }: Candidate): MigrationSet[] =>
  migrations === undefined ? [] : [{ owner: id, folder: migrations, schema: id, version }]

/**
 * Migrates all plugins together first, because most starts have nothing to do. When one plugin cannot be migrated, each is migrated by itself,
 * so that a plugin that is not required does not keep the others from starting. Returns the ids of those that failed and of those that require
 * them, which are migrated when they start.
 */
export async function migratePlugins (plugins: readonly LoadedPlugin[], parts: Omit<MigrateAllParts, 'sets'>): Promise<ReadonlySet<string>> {
  // A folder that changed after its code was imported is read again when the plugin starts.
  const unmigrated = new Set(plugins.filter(hasChanged).map(({ candidate: { id } }) => id))
  const candidates = inOrderOfNeed(plugins.map(({ candidate }) => candidate)).filter(({ id }) => !unmigrated.has(id))
  const migrate = async (some: readonly Candidate[]): Promise<void> => {
    await migrateAll({ ...parts, sets: some.flatMap(migrationsOf) })
  }
  try {
    await migrate(candidates)
    return unmigrated
  } catch (error) {
    if (!isOfOnePlugin(error)) throw error
  }
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
  return unmigrated
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
