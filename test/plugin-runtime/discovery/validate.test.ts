import assert from 'node:assert/strict'
import { test } from 'node:test'
import { folderWith, load, plugin, problemsOf, type Files } from '../plugin-folder.ts'

test('a cycle is told as the path that leads back', async (t) => {
  const folder = await folderWith(t, {
    ...plugin('invoices', { requires: { billing: '*' } }), ...plugin('billing', { optional: { mailer: '*' } }),
    ...plugin('mailer', { requires: { invoices: '*' } }), ...plugin('alone', { requires: { alone: '*' } })
  })
  assert.deepEqual(await problemsOf(folder), [
    'alone/package.json: It needs itself: alone → alone. Take one of these needs out of "requires" or "optional".',
    'billing/package.json: It needs itself: billing → mailer → invoices → billing. Take one of these needs out of "requires" or "optional".'
  ])
})

test('a need that is missing, misspelt, too old or left out is named', async (t) => {
  const folder = await folderWith(t, {
    ...plugin('mail', {}, { version: '0.9.0' }), ...plugin('sms'),
    ...plugin('a', { requires: { mail: '^1.0.0' } }), ...plugin('b', { requires: { mial: '*' } }), ...plugin('c', { requires: { telegraph: '*' } }), ...plugin('d', { requires: { sms: '*' } })
  })
  assert.deepEqual(await problemsOf(folder, { disabled: ['sms'] }), [
    `a/package.json: It requires "mail" ^1.0.0, and mail/package.json is version 0.9.0. Install a version of "mail" within ^1.0.0, or change "requires".`,
    'b/package.json: It requires "mial", which is not here. Add the plugin "mial"; or did you mean "mail"?',
    'c/package.json: It requires "telegraph", which is not here. Add the plugin "telegraph".',
    'd/package.json: It requires "sms", which is left out: PLATFORM_PLUGINS_DISABLED names it. Let "sms" load, or leave this plugin out too.'
  ])
})

test('an optional plugin in another version is as good as absent, and that is noticed', async (t) => {
  const folder = await folderWith(t, {
    ...plugin('mail', {}, { version: '2.0.0' }), ...plugin('sms', {}, { version: '1.2.0' }), ...plugin('a', { optional: { mail: '^1.0.0', sms: '^1.0.0', fax: '*' } })
  })
  const { optional, notices } = await load(folder)
  assert.deepEqual(optional.get('a'), ['sms'])
  assert.deepEqual(notices, ['Plugin "a" goes on without "mail": it can use ^1.0.0, and 2.0.0 is here.'])
})

test('an id or a mount that two plugins claim is named with both files', async (t) => {
  const folder = await folderWith(t, {
    ...plugin('one', { mounts: ['users', 'one'] }), ...plugin('two', { mounts: ['users'] }), ...rename('three', plugin('one'))
  })
  const problems = await problemsOf(folder)
  assert.equal(problems.length, 2)
  assert.match(problems.join('\n'), /^(?:one|three)\/package\.json: The id "one" is also that of (?:one|three)\/package\.json\. Give one of them another id, or take it away\.$/m)
  assert.match(problems.join('\n'), /^(?:one|two)\/package\.json: The mount "users" is also one of "(?:one|two)" \((?:one|two)\/package\.json\)\. Name another in "mounts" of one of them\.$/m)
})

test('everything that is wrong with all plugins is one message, and each line names a file', async (t) => {
  const folder = await folderWith(t, {
    'empty/.keep/x': '', ...plugin('bad-key', { colour: 1 }), ...rename('capitals', plugin('Capitals')), ...rename('dots', plugin('..')),
    ...rename('long', plugin('x'.repeat(200))), 'broken/package.json': '{ "name": ', ...plugin('first'), ...rename('second', plugin('first')),
    ...plugin('round', { requires: { trip: '*' } }), ...plugin('trip', { requires: { round: '*' } }), ...plugin('needy', { requires: { absent: '*' } }),
    ...plugin('picky', { requires: { first: '^2.0.0' } }), ...plugin('thrower'), 'thrower/index.js': 'throw new Error("out of ink")',
    'no-plugin/package.json': { name: 'x' }
  })
  const problems = await problemsOf(folder)
  for (const name of ['bad-key', 'broken', 'capitals', 'dots', 'empty', 'long', 'needy', 'no-plugin', 'picky', 'thrower']) {
    assert.equal(problems.filter(line => line.startsWith(`${name}/`)).length, 1, `${name} in\n${problems.join('\n')}`)
  }
  assert.equal(problems.filter(line => /^(?:first|second)\//.test(line)).length, 1)
  assert.equal(problems.filter(line => /^(?:round|trip)\//.test(line)).length, 1)
  assert.equal(problems.length, 12)
  assert.ok(problems.includes('thrower/index.js:1: It throws Error: out of ink. What stands outside "start" runs when the plugin is imported: fix it, or move it into "start".'))
})

test('an empty folder is named as empty', async (t) => {
  const folder = await folderWith(t, plugin('other'))
  const { mkdir } = await import('node:fs/promises')
  await mkdir(`${folder}/empty`)
  assert.deepEqual(await problemsOf(folder), ['empty/package.json: The folder is empty. Write a package.json with a "bulkhead" key, or take the folder away.'])
})

/** The same plugin in a folder of another name. */
function rename (name: string, files: Files): Files {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [`${name}/${path.split('/').at(-1) ?? ''}`, content]))
}
