import assert from 'node:assert/strict'
import { test } from 'node:test'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { definePlugin, NotFound } from '../../../core/contract/index.ts'
import { importPlugin, PluginImportFailed, type Candidate } from '../../../core/plugin-runtime/index.ts'
import { clock, discover, folderWith, manifest, plugin, problemsOf, writeFiles, type Files } from '../plugin-folder.ts'
import { createOwner } from '../fixture.ts'

const candidateIn = async (folder: string): Promise<Candidate> => {
  const { candidates: [candidate], problems } = await discover(folder)
  assert.ok(candidate, JSON.stringify(problems))
  return candidate
}
const options = { clock, budgetMs: 5_000 }
const owner = createOwner('p')
const typescript = (files: Files): Files => ({ 'p/package.json': manifest({ id: 'p' }, { exports: './index.ts' }), ...files })

test('an outside plugin gets the host\'s own contract, from TypeScript, JavaScript and CommonJS', async (t) => {
  const uses = 'import { definePlugin, NotFound } from \'bulkhead\'\nexport const given = { definePlugin, NotFound }\nexport default definePlugin({ start () {} })\n'
  for (const files of [
    typescript({ 'p/index.ts': `import type { Scope } from 'bulkhead'\n${uses}export const unused = (scope: Scope): string => scope.id\n` }),
    { ...plugin('p'), 'p/index.js': uses },
    { 'p/package.json': manifest({ id: 'p' }, { exports: './index.cjs' }), 'p/index.cjs': 'const { definePlugin, NotFound } = require(\'bulkhead\')\nmodule.exports = definePlugin({ start () {} })\nmodule.exports.given\nexports.given = { definePlugin, NotFound }\n' }
  ]) {
    const exported = await importPlugin(await candidateIn(await folderWith(t, files)), owner, options)
    assert.equal(typeof (exported.default as { start?: unknown }).start, 'function')
    if (exported.given !== undefined) assert.deepEqual(exported.given, { definePlugin, NotFound })
  }
})

test('a package gets it too', async (t) => {
  const root = await folderWith(t, {
    'node_modules/mail/package.json': manifest({ id: 'mail' }), 'node_modules/mail/index.js': 'import { NotFound } from "bulkhead"\nexport default { start () {} }\nexport { NotFound }'
  })
  const { candidates: [candidate] } = await discover([], { packages: ['mail'], packagesFrom: root })
  assert.ok(candidate)
  assert.equal((await importPlugin(candidate, owner, options)).NotFound, NotFound)
})

test('the host\'s own code is refused to plugins, by path, statically, later and from CommonJS', async (t) => {
  const core = join(import.meta.dirname, '../../../core/access/index.ts')
  const settings = join(import.meta.dirname, '../../../config/schema.ts')
  for (const [name, code] of [['index.js', `import '${core}'\nexport default { start () {} }`], ['index.cjs', `require('${settings}')`]] as const) {
    const folder = await folderWith(t, { 'p/package.json': manifest({ id: 'p' }, { exports: `./${name}` }), [`p/${name}`]: code })
    await assert.rejects(importPlugin(await candidateIn(folder), owner, options), (error: PluginImportFailed) => {
      assert.match(error.message, /is the host's own code\. Import from "bulkhead"/)
      return true
    })
  }
  const folder = await folderWith(t, { ...plugin('p'), 'p/index.js': `export default { start () {} }\nexport const later = () => import('${core}')` })
  const { later } = await importPlugin(await candidateIn(folder), owner, options) as { later: () => Promise<unknown> }
  await assert.rejects(later(), { code: 'BULKHEAD_HOST_IMPORTED' })
})

const core = pathToFileURL(join(import.meta.dirname, '../../../core/access/index.ts')).href
const corePath = fileURLToPath(core)
const data = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`

/** Ways to the host's code, as expressions of a plugin; `$` is where a package of nobody's is. */
const ways: Record<string, string> = {
  'a data: module': `import(${JSON.stringify(data(`import '${core}'`))})`,
  'a data: module in base64': `import('data:text/javascript;base64,${Buffer.from(`import '${core}'`).toString('base64')}')`,
  'a data: module in a data: module': `import(${JSON.stringify(data(`import ${JSON.stringify(data(`await import('${core}')`))}`))})`,
  'a data: module that names itself another\'s': `import(${JSON.stringify(data(`import '${core}'`))} + '#plugin=%2Ftmp&stamp=')`,
  'require made for a file elsewhere': `createRequire('/tmp/elsewhere.js')('${corePath}')`,
  'require made for a file of the host': `createRequire('${corePath}')('./access-module.ts')`,
  'Module._load': `Module._load('${corePath}', { filename: '/tmp/x.js', id: '/tmp/x.js', paths: [] }, false)`,
  'a require of a module that was made up': `new Module('/tmp/x.js').require('${corePath}')`,
  'a query': `import('${core}?x=1')`,
  'a fragment': `import('${core}#x')`,
  'encoded characters': `import('${core.replace('/access/', '/%61ccess/')}')`,
  dots: `import('${core.replace('/core/', '/core/http/../')}')`,
  'a host in the address': `import('${core.replace('file:///', 'file://localhost/')}')`,
  'a link to the file': `(symlinkSync('${corePath}', new URL('./link.ts', import.meta.url)), import('./link.ts'))`,
  'a link to the folder': `(symlinkSync('${join(corePath, '..')}', new URL('./linked', import.meta.url)), import('./linked/index.ts'))`,
  'import.meta.resolve': `import(import.meta.resolve('${core}'))`,
  'a script of node:vm that names a file of the host': `new vm.Script("import('${core}')", { filename: '${core}', importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER }).runInThisContext()`,
  'a script of node:vm': `new vm.Script("import('${core}')", { filename: '/tmp/x.js', importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER }).runInThisContext()`,
  eval: `(0, eval)("import('${core}')")`,
  'new Function': `new Function("return import('${core}')")()`,
  'a package that imports for others': `import('$').then(({ load }) => load('${core}'))`
}

for (const [what, way] of Object.entries(ways)) {
  test(`the host's own code is refused to plugins by way of ${what}`, async (t) => {
    const root = await folderWith(t, {
      ...plugin('p'), 'node_modules/loader/package.json': { name: 'loader', type: 'module', exports: './index.js' },
      'node_modules/loader/index.js': 'export const load = (path) => import(path)'
    })
    await writeFiles(root, {
      'p/index.js': `import Module, { createRequire } from 'node:module'
        import { symlinkSync } from 'node:fs'
        import vm from 'node:vm'
        export let error
        try { await ${way.replace('$', pathToFileURL(join(root, 'node_modules/loader/index.js')).href)} } catch (thrown) { error = thrown }
        export default { start () {} }`
    })
    const { error } = await importPlugin(await candidateIn(join(root)), owner, options)
    assert.equal((error as { code?: string } | undefined)?.code, 'BULKHEAD_HOST_IMPORTED', String(error))
  })
}

test('what a data: module imports is of the plugin and the generation that imported it', async (t) => {
  const folder = await folderWith(t, { ...plugin('p'), 'p/word.js': 'export const word = {}' })
  const word = pathToFileURL(join(folder, 'p/word.js')).href
  await writeFiles(folder, {
    'p/index.js': `import { word } from './word.js'\nimport { word as same } from ${JSON.stringify(data(`import { NotFound } from 'bulkhead'\nexport { word } from '${word}'`))}
      export default { start () {} }\nexport { word, same }`
  })
  const candidate = await candidateIn(folder)
  const load = (generation: number): Promise<Record<string, unknown>> => importPlugin(candidate, createOwner('p', generation), options)
  const [first, second] = [await load(1), await load(2)]
  assert.equal(first.same, first.word)
  assert.equal(second.same, second.word)
  assert.notEqual(second.word, first.word)
})

test('another generation loads every module of the folder anew, and only those', async (t) => {
  const folder = await folderWith(t, typescript({
    'p/index.ts': 'import { NotFound } from "bulkhead"\nimport { word } from "./word.ts"\nexport default { start () {} }\nexport { word, NotFound }\nexport const later = () => import("./later.ts")',
    'p/word.ts': 'import { shared } from "../shared.mjs"\nexport const word = { is: "first", shared }', 'p/later.ts': 'export const word: string = "first"', 'shared.mjs': 'export const shared = {}'
  }))
  const candidate = await candidateIn(folder)
  interface Exports { word: { is: string, shared: object }, NotFound: unknown, later: () => Promise<{ word: string }> }
  const load = async (generation = 1): Promise<Exports> => await importPlugin(candidate, createOwner('p', generation), options) as unknown as Exports
  const first = await load()
  await writeFiles(folder, { 'p/word.ts': 'import { shared } from "../shared.mjs"\nexport const word = { is: "second", shared }', 'p/later.ts': 'export const word: string = "second"' })
  const second = await load(2)

  assert.deepEqual([first.word.is, (await load()).word.is, second.word.is], ['first', 'first', 'second'])
  assert.equal((await second.later()).word, 'second')
  assert.equal(second.NotFound, NotFound)
  assert.equal(second.word.shared, first.word.shared)
  assert.notEqual((await load(3)).word, second.word)
})

test('CommonJS is loaded anew, too', async (t) => {
  const write = (word: string): Files => ({
    'p/package.json': manifest({ id: 'p' }, { exports: './index.cjs' }),
    'p/index.cjs': "const { word } = require('./word.cjs')\nmodule.exports = { start () {}, word }", 'p/word.cjs': `exports.word = '${word}'`
  })
  const folder = await folderWith(t, write('first'))
  const candidate = await candidateIn(folder)
  const load = async (generation: number): Promise<unknown> =>
    ((await importPlugin(candidate, createOwner('p', generation), options)).default as { word: string }).word
  assert.equal(await load(1), 'first')
  await writeFiles(folder, write('second'))
  assert.deepEqual([await load(2), await load(1)], ['second', 'first'])
})

for (const [what, files, expected] of [
  ['JavaScript that does not parse', { 'p/index.js': 'import "./model.js"', 'p/model.js': 'const a = 1\nexport default {{{' },
    'p/model.js:2: Unexpected token \'{\'. Fix the syntax there.'],
  ['TypeScript that does not parse', typescript({ 'p/index.ts': 'import "./model.ts"', 'p/model.ts': 'const a = 1\nexport default 1 +' }),
    'p/model.ts:2: Expression expected. Fix the syntax there.'],
  ['TypeScript that cannot be stripped', typescript({ 'p/index.ts': '\nenum A { b }' }),
    'p/index.ts:2: TypeScript enum is not supported in strip-only mode. Types are only stripped, so write it without enum, namespace, parameter property or decorator.'],
  ['a file that is not there', { 'p/index.js': 'import "./model.js"' },
    'p/index.js: Cannot find module \'p/model.js\'. Add the file, or fix the import; its ending is written out, as in "./model.ts".'],
  ['a package that is not there', { 'p/index.js': 'import "no-such-package"' },
    'p/index.js: Cannot find package \'no-such-package\'. Add it to "dependencies" of the plugin and install it there.'],
  ['a name that is not exported', { 'p/index.js': '\nimport { nothing } from "bulkhead"' },
    'p/index.js:2: The requested module \'bulkhead\' does not provide an export named \'nothing\'. Fix the import; what is only a type is imported with "import type".'],
  ['an import that throws', { 'p/index.js': 'import "./model.js"', 'p/model.js': '\n\nthrow new TypeError("out of ink")' },
    'p/model.js:3: It throws TypeError: out of ink. What stands outside "start" runs when the plugin is imported: fix it, or move it into "start".'],
  ['an import that throws null', { 'p/index.js': 'throw null' }, 'p/index.js: It threw null, which is not an Error. Throw an Error, or do not throw outside "start".'],
  ['an import that hangs', { 'p/index.js': 'await new Promise(() => {})' },
    'p/index.js: It was not imported within 200 ms. A top-level await holds it up; move that work into "start".'],
  ['no definition', { 'p/index.js': 'export const start = () => {}' },
    'p/index.js: It has no default export that is a plugin. Write "export default definePlugin({ start () { … } })".']
] as const) {
  test(`${what}: the message says where and what to do`, async (t) => {
    const folder = await folderWith(t, { ...plugin('p'), ...files })
    assert.deepEqual(await problemsOf(folder, { budgetMs: what === 'an import that hangs' ? 200 : 5_000 }), [expected])
  })
}

test('a failed import is an error of its own with the cause', async (t) => {
  const folder = await folderWith(t, { ...plugin('p'), 'p/index.js': 'throw new Error("out of ink")' })
  await assert.rejects(importPlugin(await candidateIn(folder), owner, options), (error: unknown) => {
    assert.ok(error instanceof PluginImportFailed)
    assert.equal((error.cause as Error).message, 'out of ink')
    assert.equal(error.problems[0]?.file, `${join(folder, 'p/index.js')}:1`)
    return error.message.startsWith('Plugin "p" could not be imported: ')
  })
})
