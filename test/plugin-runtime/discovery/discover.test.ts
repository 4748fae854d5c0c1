import assert from 'node:assert/strict'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { discover, emptyPlugin, folderWith, manifest, plugin, problemsOf, writeFiles } from '../plugin-folder.ts'

test('every child folder is a candidate, with its defaults filled in and nothing of it run', async (t) => {
  const folder = await folderWith(t, {
    ...plugin('notes', { resources: ['postgres'] }), 'notes/index.js': 'throw new Error("this must not run")', 'notes/migrations/0001_note.sql': 'SELECT 1', ...plugin('mail'), 'README.md': '#'
  })
  const { candidates, skipped, problems } = await discover(folder)
  assert.deepEqual([skipped, problems], [[], []])
  assert.deepEqual(candidates.map(({ id }) => id).sort(), ['mail', 'notes'])
  assert.deepEqual(candidates.find(({ id }) => id === 'notes'), {
    id: 'notes', version: '1.0.0', folder: join(folder, 'notes'), entry: join(folder, 'notes/index.js'), file: join(folder, 'notes/package.json'),
    migrations: join(folder, 'notes/migrations'),
    manifest: { id: 'notes', host: '^1.0.0', requires: {}, optional: {}, mounts: ['notes'], events: {}, resources: ['postgres'], tolerates: [], readiness: 'degraded', example: false }
  })
  assert.equal(candidates.find(({ id }) => id === 'mail')?.migrations, undefined)
})

test('migrations of a plugin that does not name postgres are refused, with the line to write', async (t) => {
  const folder = await folderWith(t, {
    ...plugin('notes', { resources: ['valkey'] }), 'notes/migrations/0001_note.sql': 'select 1',
    ...plugin('empty'), 'empty/migrations/README.md': '#', ...plugin('fine', { resources: ['postgres'] }), 'fine/migrations/0001_note.sql': 'select 1'
  })
  const { candidates, problems } = await discover(folder)
  assert.deepEqual(candidates.map(({ id }) => id).sort(), ['empty', 'fine'])
  assert.deepEqual(problems, [{
    plugin: 'notes', file: join(folder, 'notes/package.json'), what: 'It has migrations, and "postgres" is not in "resources".',
    mend: 'Write "resources": ["valkey", "postgres"], or take the folder "migrations" away.'
  }])
})

test('what is no plugin is skipped and said', async (t) => {
  const folder = await folderWith(t, { '.git/HEAD': '', 'node_modules/x/package.json': {}, 'notes.ts': '', 'README.md': '' })
  const { candidates, skipped, problems } = await discover(folder)
  assert.deepEqual([candidates, problems], [[], []])
  assert.deepEqual(skipped.map(({ folder: path, why }) => `${path.slice(folder.length + 1)}: ${why}`).sort(), [
    '.git: its name begins with a dot',
    'node_modules: it holds packages; name those that are plugins in PLATFORM_PLUGINS_PACKAGES',
    'notes.ts: it is not a folder'
  ])
})

test('an npm package is found from where it is installed, and one that is not is named', async (t) => {
  const root = await folderWith(t, {
    'node_modules/@acme/mail/package.json': manifest({ id: 'mail' }, { exports: { '.': { types: './index.d.ts', import: './lib/mail.mjs' } } }),
    'node_modules/@acme/mail/lib/mail.mjs': emptyPlugin
  })
  const found = await discover([], { packages: ['@acme/mail', '@acme/absent', '../mail'], packagesFrom: root })
  assert.deepEqual(found.candidates.map(({ entry }) => entry), [join(root, 'node_modules/@acme/mail/lib/mail.mjs')])
  assert.deepEqual(found.problems.map(({ file, mend }) => [file, mend]), [
    ['@acme/absent', 'Run "npm install @acme/absent", or take it out of PLATFORM_PLUGINS_PACKAGES.'],
    ['../mail', 'Run "npm install ../mail", or take it out of PLATFORM_PLUGINS_PACKAGES.']
  ])
})

test('a package that ships TypeScript is refused before it is imported', async (t) => {
  const root = await folderWith(t, { 'node_modules/mail/package.json': manifest({ id: 'mail' }, { exports: './index.ts' }), 'node_modules/mail/index.ts': emptyPlugin })
  const { problems } = await discover([], { packages: ['mail'], packagesFrom: root })
  assert.match(problems[0]?.what ?? '', /^The entry "\.\/index\.ts" is TypeScript/)
})

test('the entry is what exports, main or the folder itself gives', async (t) => {
  const bare = { version: '1.0.0', type: 'module' }
  const folder = await folderWith(t, {
    'a/package.json': { ...bare, bulkhead: { id: 'a', host: '*' } }, 'a/index.ts': emptyPlugin, 'a/index.js': emptyPlugin,
    'b/package.json': { ...bare, main: 'lib/b.js', bulkhead: { id: 'b', host: '*' } }, 'b/lib/b.js': emptyPlugin,
    'c/package.json': { ...bare, exports: { node: { require: './no.cjs', default: './c.mjs' } }, bulkhead: { id: 'c', host: '*' } }, 'c/c.mjs': emptyPlugin
  })
  const { candidates } = await discover(folder)
  assert.deepEqual(candidates.map(({ entry }) => entry.slice(folder.length + 1)).sort(), ['a/index.ts', 'b/lib/b.js', 'c/c.mjs'])
})

test('an entry that is missing, outside the folder or no code is a problem', async (t) => {
  const folder = await folderWith(t, {
    'a/package.json': manifest({ id: 'a' }, { exports: './absent.js' }),
    'b/package.json': manifest({ id: 'b' }, { exports: './../a/index.js' }),
    'c/package.json': manifest({ id: 'c' }),
    'd/package.json': manifest({ id: 'd' }, { exports: { require: './d.cjs' } }),
    'e/package.json': manifest({ id: 'e' }, { exports: './package.json' }),
    'f/package.json': manifest({ id: 'f' }, { exports: './a\0.js' }),
    'outside.js': emptyPlugin
  })
  await symlink(join(folder, 'outside.js'), join(folder, 'c/index.js'))
  assert.deepEqual(await problemsOf(folder), [
    'a/package.json: The entry "./absent.js" is not there, or cannot be read. Add the file, or name another in "exports".',
    'b/package.json: The entry "./../a/index.js" leads out of the plugin\'s folder. Name a file inside it.',
    'c/package.json: The entry "./index.js" leads out of the plugin\'s folder. Name a file inside it.',
    'd/package.json: "exports" gives nothing for ".". Write "exports": "./index.js", say.',
    'e/package.json: The entry "./package.json" is neither JavaScript nor TypeScript. Name a file that ends in .js or .ts.',
    'f/package.json: The entry "./a\0.js" is not there, or cannot be read. Add the file, or name another in "exports".'
  ])
})

test('a plugin that is linked to from two places is loaded once', async (t) => {
  const folder = await folderWith(t, { ...plugin('notes'), 'linked/README.md': '' })
  await symlink(join(folder, 'notes'), join(folder, 'linked/notes'))
  await mkdir(join(folder, 'linked/gone'), { recursive: true })
  await writeFiles(join(folder, 'linked/gone'), { 'package.json': manifest({ id: 'gone' }), 'index.js': emptyPlugin })
  const { candidates, skipped } = await discover([folder, join(folder, 'linked')], { disabled: ['linked'] })
  assert.deepEqual(candidates.map(({ id }) => id), ['notes', 'gone'])
  assert.ok(skipped.some(({ folder: path, why }) => path === join(folder, 'linked/notes') && why === 'it is named twice and loaded once'))
})

test('a disabled plugin is left out even if it is broken, and an unknown name is a problem', async (t) => {
  const folder = await folderWith(t, { ...plugin('notes'), ...plugin('mail', { colour: 'red' }), 'broken/package.json': '{' })
  const { candidates, skipped, problems } = await discover(folder, { disabled: ['notes', 'mail', 'broken', 'nots'] })
  assert.deepEqual([candidates.length, skipped.length], [0, 3])
  assert.deepEqual(problems.map(({ what, mend }) => `${what} ${mend}`), ['It names "nots", and no plugin has this id. Did you mean "notes"?'])
})

test('an example is off in production unless it is named', async (t) => {
  const folder = await folderWith(t, plugin('notes', { example: true }))
  assert.equal((await discover(folder)).candidates.length, 1)
  const production = await discover(folder, { production: true })
  assert.deepEqual([production.candidates.length, production.skipped.map(({ id }) => id)], [0, ['notes']])
  assert.equal((await discover(folder, { production: true, enabled: ['notes'] })).candidates.length, 1)
})

test('a path that is missing or a file is a problem', async (t) => {
  const folder = await folderWith(t, {})
  await writeFile(join(folder, 'file'), '')
  assert.deepEqual((await discover([join(folder, 'absent'), join(folder, 'file')])).problems.map(({ what }) => what), [
    'The folder of plugins cannot be read (ENOENT).', 'The folder of plugins cannot be read (ENOTDIR).'
  ])
})

test('the conditions of "exports" are those of Node, in the order in which they stand', async (t) => {
  const inFolder = { type: 'module', name: 'test', version: '1.0.0' }
  const conditions: readonly [id: string, exports: object, entry: string | undefined][] = [
    ['sync', { 'module-sync': './a.js', default: './b.js' }, 'a.js'],
    ['addons', { 'node-addons': './a.js', default: './b.js' }, 'a.js'],
    ['first', { import: './b.js', 'module-sync': './a.js' }, 'b.js'],
    ['nested', { require: './b.js', node: { browser: './b.js', 'module-sync': { default: './a.js' } } }, 'a.js'],
    ['list', { '.': [{ browser: './b.js' }, './a.js'] }, 'a.js'],
    // Node ends at null: the condition holds, and it gives nothing.
    ['nothing', { node: null, default: './a.js' }, undefined]
  ]
  const folder = await folderWith(t, Object.fromEntries(conditions.flatMap(([id, exports]): [string, string | object][] => [
    [`${id}/package.json`, { ...inFolder, name: `test-${id}`, exports, bulkhead: { id, host: '*' } }],
    [`${id}/a.js`, `${emptyPlugin}\nexport const at = 'a.js'`], [`${id}/b.js`, `${emptyPlugin}\nexport const at = 'b.js'`],
    [`${id}/self.js`, `export default await import('test-${id}').then(({ at }) => at, () => undefined)`]
  ])))
  const { candidates } = await discover(folder)
  for (const [id, , entry] of conditions) {
    const found = candidates.find(candidate => candidate.id === id)?.entry
    assert.equal(found, entry === undefined ? undefined : join(folder, id, entry), id)
    const { default: atNode } = await import(join(folder, id, 'self.js')) as { default: unknown }
    assert.equal(atNode, entry, `${id} as Node finds it`)
  }
})

test('a byte order mark in package.json is read over, and another encoding is named', async (t) => {
  const folder = await folderWith(t, { ...plugin('notes'), ...plugin('mail') })
  const content = JSON.stringify(manifest({ id: 'notes' }))
  await writeFile(join(folder, 'notes/package.json'), `\uFEFF${content}`)
  await writeFile(join(folder, 'mail/package.json'), Buffer.from(`\uFEFF${content}`, 'utf16le'))
  const { candidates, problems } = await discover(folder)
  assert.deepEqual(candidates.map(({ id }) => id), ['notes'])
  assert.deepEqual(problems.map(({ what, mend }) => `${what} ${mend}`), ['It is not UTF-8 text. Save it as UTF-8.'])
})
