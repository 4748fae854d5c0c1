// Manages secrets of projects and of the whole platform. They are written and replaced by name, stored encrypted and in
// versions, shown only with a special permission, and inserted into texts of other plugins.

import { definePlugin, z } from 'bulkhead'
import type { Use } from './form.ts'
import { findProject } from './project.ts'
import { keepSecrets } from './reseal.ts'
import { resolveSecrets } from './resolve.ts'
import { registerSecrets } from './route.ts'
import { purgeRows } from './row.ts'
import { createSecrets } from './secret.ts'

/** The service that other plugins get. */
export interface SecretsService {
  /**
   * Resolves with the text in which each `${{ secrets.NAME }}` is replaced by its value. A project's secret takes
   * precedence over the platform's; with a null `projectId` only the platform's secrets are used. Rejects with
   * `ValidationFailed`, which names every secret that is unknown, deleted or not for this use, and with `NotFound` when
   * there is no such project.
   */
  resolve (projectId: string | null, use: Use, text: string): Promise<string>
}

declare module 'bulkhead' {
  interface Services { secrets: SecretsService }
}

export default definePlugin({
  config: {
    keepDeletedDays: { doc: 'Days after which a deleted secret is gone for good; 0 keeps it', format: 'nat', default: 30, env: 'SECRETS_KEEP_DELETED_DAYS' }
  },

  permissions: {
    'secret:reveal': { description: 'See the value of a secret' }
  },

  start ({ routes, tasks, postgres, access, encryption, events, config, log }): SecretsService {
    const secrets = createSecrets({ postgres, access, encryption, events })
    registerSecrets(routes, secrets, { path: '/global', guard: {}, params: {}, projectOf: async () => null })
    registerSecrets(routes, secrets, {
      path: '/projects/:projectId', guard: { project: 'params.projectId' }, params: { projectId: z.uuid() },
      projectOf: ({ projectId = '' }) => findProject(postgres, projectId)
    })
    keepSecrets({ postgres, encryption, log })

    if (config.keepDeletedDays > 0) {
      tasks.cron('purge', '43 3 * * *', async ({ tx, log }) => {
        log.info({ purged: await purgeRows(tx, config.keepDeletedDays) }, 'secrets that were deleted long ago are gone')
      })
    }
    return { resolve: (projectId, use, text) => resolveSecrets({ postgres, encryption }, projectId, use, text) }
  }
})
