import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { showPath } from '../../../core/plugin-runtime/discovery/plugin-problem.ts'
import { loadDefinitions } from '../../../core/plugin-runtime/index.ts'
import { checkDefinition } from '../../../core/plugin-runtime/loading/plugin-definition.ts'
import { clock, discover, folderWith, load, manifest, plugin, problemsOf } from '../plugin-folder.ts'

const findings = (exported: unknown): string[] => checkDefinition(exported).map(finding => finding.join(' '))

test('start is enough', () => assert.deepEqual(findings({ start () { /* nothing */ } }), []))

test('what is no definition is told', () => {
  for (const exported of [undefined, null, 7, () => undefined, []]) {
    assert.deepEqual(findings(exported), ['It has no default export that is a plugin. Write "export default definePlugin({ start () { … } })".'])
  }
  assert.deepEqual(findings({ begin () { /* nothing */ }, permission: {}, check: true, config: 7, permissions: [] }), [
    '"begin" is not a key of the definition. The keys are "config", "permissions", "start", "check".',
    '"permission" is not a key of the definition. Write "permissions".',
    'The definition has no function "start". Write one; it may do nothing.',
    '"check" is not a function. Write one, or leave it out.',
    '"permissions" is not an object. Write one, by name, or leave it out.',
    '"config" is not an object. Write one, by name, or leave it out.'
  ])
})

test('a permission has a name of its form, a description and known roles', () => {
  const permissions = { 'note:read': { description: 'See notes', roles: ['viewer'] }, Read: { description: 'x' }, 'a:b': {}, 'a:c': { description: 'x', roles: ['admin'], role: 1 }, 'a:d': 'x' }
  assert.deepEqual(findings({ start () { /* nothing */ }, permissions }), [
    'The permission "Read" is not of the form "thing:verb". Write for example "invoice:read": lower-case letters, digits and dashes.',
    'The permission "a:b" has no description. Say in a few words what it allows.',
    '"role" is not a key of the permission "a:c". Write "roles".',
    'The permission "a:c" has "roles" other than "developer", "ops", "viewer". Name only these; "admin" holds every permission.',
    'The permission "a:d" is not an object. Write { description: "…" }.'
  ])
})

test('a permission belongs to one plugin, and none of the host\'s', async (t) => {
  const declares = (name: string): string => `export default { permissions: { '${name}': { description: 'x' } }, start () {} }`
  const folder = await folderWith(t, {
    ...plugin('one'), 'one/index.js': declares('thing:read'), ...plugin('two'), 'two/index.js': declares('thing:read'), ...plugin('three'), 'three/index.js': declares('admin:users')
  })
  const problems = await problemsOf(folder)
  assert.equal(problems.length, 2)
  assert.match(problems.join('\n'), /^(?:one|two)\/index\.js: The permission "thing:read" is already declared by "(?:one|two)" \((?:one|two)\/index\.js\)\. Name it after a thing of this plugin\.$/m)
  assert.match(problems.join('\n'), /^three\/index\.js: The permission "admin:users" is already declared by the host\./m)
})

test('permissions with one prefix belong to one plugin, and a host prefix to its reserved plugin', async (t) => {
  const declares = (...names: string[]): string =>
    `export default { permissions: ${JSON.stringify(Object.fromEntries(names.map(name => [name, { description: 'x' }])))}, start () {} }`
  const folder = await folderWith(t, {
    ...plugin('one'), 'one/index.js': declares('thing:read', 'thing:write'), ...plugin('two'), 'two/index.js': declares('thing:pay', 'other:read'),
    ...plugin('projects'), 'projects/index.js': declares('project:restore'), ...plugin('three'), 'three/index.js': declares('project:steal', 'admin:all', 'host:operate')
  })
  const { candidates } = await discover(folder)
  const { clashes } = await loadDefinitions(candidates, {
    clock, budgetMs: 5_000, corePermissions: ['project:read', 'admin:users'], permissionHomes: { project: 'projects', host: 'operations' }
  })
  assert.deepEqual(clashes.map(({ plugin, what }) => `${plugin ?? ''}: ${what}`).sort(), [
    'three: The permission "admin:all" begins with "admin", and those belong to the host.',
    'three: The permission "host:operate" begins with "host", and those belong to the plugin "operations".',
    'three: The permission "project:steal" begins with "project", and those belong to the plugin "projects".',
    `two: The permission "thing:pay" begins with "thing", and those belong to "one" (${showPath(join(folder, 'one/index.js'))}).`
  ])
})

test('definitions come in the order of their candidates, however long each takes to import', async (t) => {
  const folder = await folderWith(t, {
    ...plugin('a'), ...plugin('b'), ...plugin('c'), 'a/index.js': 'await new Promise(resolve => setTimeout(resolve, 60))\nexport default { start () {} }'
  })
  const { plugins, candidates } = await load(folder)
  assert.deepEqual(plugins.map(({ candidate }) => candidate.id), candidates.map(({ id }) => id))
})

test('a definition that CommonJS exports as "default" is unwrapped, and so is that of a compiled module', async (t) => {
  const start = '{ start () {} }'
  const folder = await folderWith(t, Object.fromEntries([
    `module.exports = ${start}`, `exports.default = ${start}`, `Object.defineProperty(exports, '__esModule', { value: true })\nexports.default = ${start}`,
    `module.exports = { default: ${start}, other: 1 }`
  ].flatMap((code, at) => Object.entries({
    [`p${at}/package.json`]: manifest({ id: `p${at}` }, { type: 'commonjs', exports: './index.js' }), [`p${at}/index.js`]: code
  }))))
  const { plugins } = await load(folder)
  assert.deepEqual(plugins.map(({ definition }) => Object.keys(definition)), [['start'], ['start'], ['start'], ['start']])
})

test('an ES module is not unwrapped: its default export is the definition', async (t) => {
  const folder = await folderWith(t, { ...plugin('p'), 'p/index.js': 'export default { default: { start () {} } }' })
  assert.match((await problemsOf(folder)).join(), /"default" is not a key of the definition/)
})
