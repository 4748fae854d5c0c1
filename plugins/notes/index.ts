// The example plugin, small and complete: users write notes and may share them.

import { definePlugin, z } from 'bulkhead'
import { createNotes, NewNote, Note, NotePatch, type Notes } from './note.ts'

declare module 'bulkhead' {
  interface Services { notes: Notes }
}

const params = z.object({ id: z.uuid() })
const Page = z.object({ limit: z.coerce.number().int().min(1).max(100).default(50), offset: z.coerce.number().int().min(0).default(0) })

export default definePlugin({
  config: {
    retentionDays: { doc: 'Days after its last change that a note is deleted; 0 keeps it for good', format: 'nat', default: 0, env: 'NOTES_RETENTION_DAYS' }
  },

  permissions: {
    'note:read': { description: 'See notes of one\'s own and shared ones', roles: ['viewer', 'developer'] },
    'note:write': { description: 'Write, change and delete notes of one\'s own', roles: ['developer'] }
  },

  start ({ routes, tasks, postgres, config, log }): Notes {
    const notes = createNotes(postgres)

    routes.get('/', { permission: 'note:read', query: Page, returns: z.object({ items: z.array(Note), total: z.int() }), summary: 'Notes, newest first' },
      ({ user, input }) => notes.list(user.id, input.query))

    routes.post('/', { permission: 'note:write', body: NewNote, returns: Note, status: 201, summary: 'Write a note' },
      ({ user, input }) => notes.add(user.id, input.body))

    routes.get('/:id', { permission: 'note:read', params, returns: Note, summary: 'One note' },
      ({ user, input }) => notes.find(user.id, input.params.id))

    routes.patch('/:id', { permission: 'note:write', params, body: NotePatch, returns: Note, summary: 'Change a note' },
      ({ user, input }) => notes.change(user.id, input.params.id, input.body))

    routes.delete('/:id', { permission: 'note:write', params, summary: 'Delete a note' },
      ({ user, input }) => notes.remove(user.id, input.params.id))

    if (config.retentionDays > 0) {
      tasks.cron('purge', '0 3 * * *', async ({ log }) => {
        log.info({ deleted: await notes.purge(config.retentionDays) }, 'old notes were deleted')
      })
    }
    tasks.every('count', '5m', { once: 'replica' }, async () => {
      log.debug({ notes: await notes.count() }, 'notes were counted')
    })

    return { find: notes.find }
  }
})
