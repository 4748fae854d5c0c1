// Code and migrations of a plugin come from one reading of its folder.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { migrateAsRead, type GenerationParts } from '../../../core/plugin-runtime/loading/generation.ts'
import { clock, folderWith, load, plugin, writeFiles } from '../plugin-folder.ts'

test('migrations that came after the import are not run with its code', async (t) => {
  const folder = await folderWith(t, { ...plugin('notes', { resources: ['postgres'] }), 'notes/migrations/0001_note.sql': 'select 1' })
  const { plugins: [notes] } = await load(folder)
  assert.ok(notes)
  const migrated: string[] = []
  const parts: GenerationParts = {
    budgetClock: clock, importBudgetMs: 5_000, corePermissions: [], findSettingProblems: () => [], declare: async () => undefined,
    discover: async () => ({ candidates: [], broken: [], skipped: [], problems: [] }), migrate: async ({ id }) => { migrated.push(id) }
  }
  await migrateAsRead(notes, parts)
  assert.deepEqual(migrated, ['notes'])
  await writeFiles(folder, { 'notes/migrations/0002_more.sql': 'select 2' })
  await assert.rejects(migrateAsRead(notes, parts), { code: 'BULKHEAD_FOLDER_CHANGED', message: `${join(folder, 'notes')} has changed since its code was imported; it is read again` })
  assert.deepEqual(migrated, ['notes'])
  const { plugins: [again] } = await load(folder)
  assert.ok(again)
  await migrateAsRead(again, parts)
  assert.deepEqual(migrated, ['notes', 'notes'])
})
