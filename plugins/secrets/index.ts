// Secrets of projects and of the whole platform: written and replaced by name, kept sealed and in versions, shown to almost nobody, and put into the
// texts of other plugins.

import { definePlugin, z } from 'bulkhead'
import type { Use } from './form.ts'
import { findProject } from './project.ts'
import { keepSecrets } from './reseal.ts'
import { resolveSecrets } from './resolve.ts'
import { registerSecrets } from './route.ts'
import { purgeRows } from './row.ts'
import { createSecrets } from './secret.ts'

/** What other plugins get. */
export interface SecretsService {
  /**
   * The text with the values in the place of its `${{ secrets.NAME }}`, those of the project before those of the platform; for null of the platform
   * alone. `ValidationFailed` names every one that is unknown, deleted or not for this use; `NotFound` when there is no such project.
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
