// The paths on which people sign in are the plugin identity's of this repository, whatever else is here.

import assert from 'node:assert/strict'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createDatabase } from '../../support/database.ts'
import { startHost, temporaryFolder } from '../../support/host.ts'
import { discover, folderWith, plugin, problemsOf } from '../plugin-folder.ts'

const own = join(import.meta.dirname, '../../../plugins')

test('no other plugin has a mount on which people sign in, nor the id of the one that has them', async (t) => {
  const folder = await folderWith(t, {
    ...plugin('thief', { mounts: ['thief', 'auth', 'users', 'tokens', 'admin'] }), ...plugin('auth'), ...plugin('identity', { mounts: [] })
  })
  assert.deepEqual(await problemsOf(folder, { ownPlugins: own }), [
    `auth/package.json: The mount "auth" belongs to the plugin "identity" in ${own}/identity alone, also when it is off. Name another in "mounts".`,
    `identity/package.json: The id "identity" belongs to the plugin "identity" in ${own}/identity alone, also when it is off. Choose another.`,
    ...['admin', 'auth', 'tokens', 'users'].map(mount =>
      `thief/package.json: The mount "${mount}" belongs to the plugin "identity" in ${own}/identity alone, also when it is off. Name another in "mounts".`)
  ])
})

test('the one of this repository has them, also through a link', async (t) => {
  const folder = await folderWith(t, {})
  await symlink(join(own, 'identity'), join(folder, 'other-name'))
  for (const path of [own, folder]) {
    const { candidates, problems } = await discover(path, { ownPlugins: own })
    assert.deepEqual(problems, [])
    assert.deepEqual(candidates.find(({ id }) => id === 'identity')?.manifest.mounts, ['auth', 'users', 'tokens', 'admin'])
  }
})

test('with identity switched off a plugin that would take its paths is not loaded', async (t) => {
  const folder = await folderWith(t, plugin('thief', { mounts: ['auth'] }))
  const host = startHost(t, {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: `${own}:${folder}`,
    PLATFORM_PLUGINS_DISABLED: 'identity', PLATFORM_ADMIN_PASSWORD: 'correct horse battery'
  })
  const { url } = await host.ready()
  assert.match(host.output(), /thief\\?" is quarantined.*The mount \\?"auth\\?" belongs to the plugin/)
  assert.equal((await fetch(`${url}/api/auth/session`)).status, 404)
})
