// Runs the commands that work without a running host: `settings` and `migrate`.

import type { Loaded } from '../../config/schema.ts'
import { exitCodes } from '../boot/exit-code.ts'
import { migrationsOf } from '../boot/plugin-migrations.ts'
import { discoverPlugins, readPlugins } from '../boot/plugin-units.ts'
import { realClock as clock } from '../boot/system-clock.ts'
import type { Resource } from '../handover/resource.ts'
import { InvalidPlugins, registerBulkhead } from '../plugin-runtime/index.ts'
import { createMigrations, hostSets, renderStatus, type MigrationSet } from '../resources/migrations/migrations.ts'
import { createLog } from '../telemetry/log-writer.ts'
import { renderSettings } from './setting-table.ts'
import { printable } from './text-table.ts'
import { readWords, refuseWords } from './words.ts'

/**
 * Prints all settings. Those of the plugins are known only once their definitions have been read, so the plugins are
 * read first.
 */
export async function printSettings (loaded: Loaded, _args: string[], root: string): Promise<void> {
  const forget = registerBulkhead()
  try {
    const log = createLog({ level: 'warn', format: loaded.settings.log.format })
    await readPlugins({ loaded, log, root })
  } catch (error) {
    if (!(error instanceof InvalidPlugins)) throw error
    console.error(printable(`${error.message}\nTheir settings are not shown.`))
    process.exitCode = exitCodes.pluginsInvalid
  } finally {
    forget()
  }
  console.log(renderSettings(loaded.describe()))
}

const usage = 'npm run migrate -- status | up | down [n], each for the tables of the host (down: for the core schema), ' +
  'or with "bulkhead" or a plugin\'s id behind it; down needs --yes, as what is in the tables it drops is lost'

/**
 * Migrates the host's own schemas, or one of them, or that of one plugin. `down` without a name undoes steps of the core
 * schema only. Every start of the host also brings all of them up to date.
 */
export async function migrate (loaded: Loaded, args: string[], root: string): Promise<void> {
  const { settings } = loaded
  const { words: [verb = 'status', ...rest], isSure } = readWords(args)
  const count = verb === 'down' && /^[1-9]\d*$/.test(rest[0] ?? '') ? Number(rest.shift()) : 1
  const [owner, ...more] = rest
  if (!['status', 'up', 'down'].includes(verb) || more.length > 0 || owner?.startsWith('-') === true || (verb === 'down' && !isSure)) {
    refuseWords(args, usage)
    return
  }
  const log = createLog({ level: 'warn', format: settings.log.format })
  const signal = AbortSignal.timeout(settings.budgets.resourceStartMs)
  let server: Resource<{ url: string }> | undefined
  try {
    if (settings.postgres.url === '') {
      const { openEmbeddedPostgres } = await import('../resources/embedded/embedded-postgres.ts')
      server = await openEmbeddedPostgres({ dataPath: settings.dataPath }, { log, clock, signal })
    }
    const url = server?.value.url ?? settings.postgres.url
    for (const set of await findSets(owner ?? (verb === 'down' ? 'core' : undefined), loaded, root)) {
      const migrations = createMigrations({ url, ...set, log, clock })
      if (verb !== 'status') {
        const names = verb === 'up' ? await migrations.up() : await migrations.down(count)
        console.log(names.length === 0 ? 'Nothing to do.' : names.map(name => `${verb}: ${name}`).join('\n'))
      }
      console.log(renderStatus(await migrations.status()))
    }
  } catch (error) {
    console.error(printable((error as Error).message))
    process.exitCode = exitCodes.resources
  } finally {
    await server?.close()
  }
}

async function findSets (owner: string | undefined, loaded: Loaded, root: string): Promise<MigrationSet[]> {
  const host = hostSets(root)
  if (owner === undefined) return host
  const isOfHost = host.some(set => set.owner === owner)
  const sets = isOfHost ? host : (await discoverPlugins({ loaded, root })).candidates.flatMap(migrationsOf)
  const found = sets.filter(set => set.owner === owner)
  if (found.length > 0) return found
  const known = sets.map(set => set.owner).join(', ')
  throw new Error(`No plugin "${owner}" with migrations is here; those that have some are ${known}.`)
}
