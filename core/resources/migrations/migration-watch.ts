// Watches the journal while the host serves: a newer version may have applied migrations that this one does not have.

import { sql, z, type Postgres } from '../../contract/index.ts'
import { loadMigrations } from './migration-file.ts'
import { describeBreak } from './migration-journal.ts'
import type { MigrationSet } from './migrations.ts'

const everyMs = 2_000
const Row = z.object({ owner: z.string(), name: z.string(), breaks: z.string().nullable() })

interface Watched { readonly version: string | undefined, readonly newest: string }

export class JournalWatch {
  readonly #postgres: Postgres
  readonly #now: () => number
  readonly #watched = new Map<string, Watched>()
  #newer: readonly z.infer<typeof Row>[] = []
  #readAt = -Infinity

  constructor (postgres: Postgres, now: () => number) {
    this.#postgres = postgres
    this.#now = now
  }

  /** Watches an owner, whose files have just been applied; replaces what was known of it. */
  add ({ owner, folder, version }: MigrationSet): void {
    this.#watched.set(owner, { version, newest: loadMigrations(folder).files.at(-1)?.name ?? '' })
    this.#readAt = -Infinity
  }

  /** Reads the journal, every two seconds at most. */
  async read (): Promise<void> {
    if (this.#now() - this.#readAt < everyMs) return
    const owners = [...this.#watched]
    this.#newer = await this.#postgres.any(sql.type(Row)`
      SELECT owner, name, to_jsonb(migration) ->> 'breaks' AS breaks FROM bulkhead.migration
      JOIN unnest(${sql.array(owners.map(([owner]) => owner), 'text')}, ${sql.array(owners.map(([, { newest }]) => newest), 'text')}) AS known (id, newest) ON id = owner
      WHERE name COLLATE "C" > newest COLLATE "C" ORDER BY owner, name COLLATE "C"
    `)
    this.#readAt = this.#now()
  }

  /** The owners that cannot work with what a newer version has applied, each with a sentence. */
  broken (): ReadonlyMap<string, string> {
    return new Map(this.#newer.toReversed().flatMap(row => {
      const why = describeBreak(row, this.#watched.get(row.owner)?.version)
      return why === undefined ? [] : [[row.owner, why] as const]
    }))
  }

  /** A line for each owner with migrations of a newer version. */
  describe (): string[] {
    return [...Map.groupBy(this.#newer, ({ owner }) => owner)].map(([owner, rows]) =>
      `migrations: "${owner}" has ${rows.length} of a newer version, up to ${rows.at(-1)?.name ?? ''}; ` +
      (this.broken().get(owner) ?? `this version (${this.#watched.get(owner)?.version ?? 'unknown'}) works with them.`))
  }
}
