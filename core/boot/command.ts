// What `core/main.js` does beside starting the host: shows the settings, and migrates by hand.

import { join } from 'node:path'
import { renderSettings } from '../../config/render.ts'
import type { Loaded } from '../../config/schema.ts'
import type { Resource } from '../contract/index.ts'
import { createMigrations, renderStatus } from '../resources/migrations.ts'
import { createLog } from '../telemetry/log.ts'
import { realClock as clock } from './clock.ts'
import { exitCodes } from './ending.ts'

export async function printSettings ({ describe }: Loaded): Promise<void> {
  console.log(renderSettings(describe()))
}

const usage = 'npm run migrate -- status | up | down [n]'

/** The core schema only: plugins' own schemas follow their plugins at the next start. */
export async function migrate ({ settings }: Loaded, [verb = 'status', count = '1', ...more]: string[], root: string): Promise<void> {
  if (!['status', 'up', 'down'].includes(verb) || more.length > 0 || !/^[1-9]\d*$/.test(count)) {
    console.error(`"${[verb, count, ...more].join(' ')}" is not understood: ${usage}`)
    process.exitCode = exitCodes.settings
    return
  }
  const log = createLog({ level: 'warn', format: settings.log.format })
  const signal = AbortSignal.timeout(settings.budgets.resourceStartMs)
  let server: Resource<{ url: string }> | undefined
  try {
    if (settings.postgres.url === '') {
      const { openEmbeddedPostgres } = await import('../resources/embedded/postgres.ts')
      server = await openEmbeddedPostgres({ dataPath: settings.dataPath }, { log, clock, signal })
    }
    const url = server?.value.url ?? settings.postgres.url
    const migrations = createMigrations({ url, owner: 'core', folder: join(root, 'migrations'), schema: 'public', log, clock })
    if (verb !== 'status') {
      const names = verb === 'up' ? await migrations.up() : await migrations.down(Number(count))
      console.log(names.length === 0 ? 'Nothing to do.' : names.map(name => `${verb}: ${name}`).join('\n'))
    }
    console.log(renderStatus(await migrations.status()))
  } catch (error) {
    console.error((error as Error).message)
    process.exitCode = exitCodes.resources
  } finally {
    await server?.close()
  }
}
