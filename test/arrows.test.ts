// Holds the import arrows of the house: which room may import which, and each outside package in one file.

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'

const root = join(import.meta.dirname, '..')

/** What each room may import of ours, beside itself. */
const everything = [
  'core/contract', 'core/concurrency', 'core/handover', 'core/kernel', 'core/plugin-runtime', 'core/http', 'core/access', 'core/encryption', 'core/resources', 'core/tasks',
  'core/archive', 'core/telemetry', 'core/control', 'config'
]
const arrows: Record<string, readonly string[]> = {
  'core/main.js': ['core/cli'],
  'core/cli': [...everything, 'core/boot.ts', 'core/boot'],
  'core/boot.ts': [...everything, 'core/boot'],
  'core/boot': everything,
  'core/control': ['core/contract', 'core/encryption'],
  'core/contract': ['core/concurrency'],
  'core/concurrency': [],
  'core/handover': ['core/contract'],
  'core/kernel': ['core/contract', 'core/concurrency'],
  'core/plugin-runtime': ['core/contract', 'core/concurrency', 'core/handover', 'core/kernel'],
  'core/http': ['core/contract', 'core/concurrency', 'core/handover', 'core/access'],
  'core/access': ['core/contract', 'core/concurrency'],
  'core/encryption': ['core/contract', 'core/concurrency', 'core/access'],
  'core/resources': ['core/contract', 'core/concurrency', 'core/handover'],
  'core/tasks': ['core/contract', 'core/concurrency', 'core/handover'],
  'core/archive': ['core/contract'],
  'core/telemetry': ['core/contract'],
  config: ['core/contract']
}

/** The words a plugin may use come from these, so the contract hands them on; and what one file opens, the contract may type. */
const contractMayImport = new Set(['zod', 'slonik', 'koa', '@kubernetes/client-node'])

interface Import { file: string, to: string }

const files = globSync(['core/**/*.{ts,js}', 'config/**/*.{ts,js}', 'plugins/**/*.{ts,js}'], { cwd: root })
const imports: Import[] = files.flatMap(file =>
  ts.preProcessFile(readFileSync(join(root, file), 'utf8'), true, true).importedFiles.map(({ fileName }) => ({
    file, to: fileName.startsWith('.') ? relative(root, join(root, dirname(file), fileName)) : fileName
  })))

const isOurs = (to: string): boolean => /^(core|config|plugins|test|migrations)\//.test(to)
const packageOf = (to: string): string => to.split('/').slice(0, to.startsWith('@') ? 2 : 1).join('/')
const roomOf = (path: string): string =>
  path.startsWith('plugins/') ? path.split('/').slice(0, 2).join('/')
    : path.startsWith('config/') ? 'config'
      : path in arrows ? path
        : path.split('/').slice(0, 2).join('/')

test('a room imports only what the house allows it', () => {
  const broken = imports.filter(({ file, to }) => {
    if (!isOurs(to)) return false
    const from = roomOf(file)
    const target = roomOf(to)
    return from !== target && !(arrows[from] ?? []).includes(target)
  })
  assert.deepEqual(broken.map(({ file, to }) => `${file} imports ${to}`), [])
})

/** Whether the import names only types, of which nothing is left at run time. */
const isOfTypes = (clause: ts.ImportClause | undefined): boolean => clause !== undefined && (
  clause.phaseModifier === ts.SyntaxKind.TypeKeyword ||
  (clause.name === undefined && clause.namedBindings !== undefined && ts.isNamedImports(clause.namedBindings) &&
    clause.namedBindings.elements.every(({ isTypeOnly }) => isTypeOnly)))

/** Returns, for each folder of `core/`, the other folders whose values its files import. */
function findFolderImports (): ReadonlyMap<string, ReadonlySet<string>> {
  const folders = new Map<string, Set<string>>()
  for (const file of files.filter(file => file.startsWith('core/'))) {
    const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true)
    for (const statement of source.statements) {
      const isImport = ts.isImportDeclaration(statement)
      if (!isImport && !(ts.isExportDeclaration(statement) && !statement.isTypeOnly)) continue
      const specifier = statement.moduleSpecifier
      if (specifier === undefined || !ts.isStringLiteral(specifier) || !specifier.text.startsWith('.')) continue
      if (isImport && isOfTypes(statement.importClause)) continue
      const [from, to] = [dirname(file), dirname(join(dirname(file), specifier.text))]
      if (from !== to) folders.set(from, (folders.get(from) ?? new Set()).add(to))
    }
  }
  return folders
}

test('no two folders of core import values of each other, by whatever way', () => {
  const imported = findFolderImports()
  const reach = (from: string, found = new Set<string>()): ReadonlySet<string> => {
    for (const to of imported.get(from) ?? []) if (!found.has(to)) reach(to, found.add(to))
    return found
  }
  // boot.ts stands beside the rooms, which does not make it one of them.
  assert.deepEqual([...imported.keys()].filter(folder => folder !== 'core' && reach(folder).has(folder)), [])
  assert.ok(reach('core/access/user').has('core/access/audit'))
})

test('no file name stands twice in core, so that a name is a place', () => {
  const places = Map.groupBy(files.filter(file => file.startsWith('core/') && basename(file) !== 'index.ts'), file => basename(file))
  assert.deepEqual([...places.values()].filter(({ length }) => length > 1), [])
})

/** What the `package.json` of a folder names, by package. */
const dependenciesOf = (folder: string): Readonly<Record<string, string>> =>
  (JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as { dependencies?: Record<string, string> }).dependencies ?? {}

test('a plugin imports only bulkhead, node, its own folder and packages of its package.json', () => {
  const broken = imports.filter(({ file, to }) => file.startsWith('plugins/') && !isOurs(to) && to !== 'bulkhead' && !to.startsWith('node:') &&
    !Object.hasOwn(dependenciesOf(roomOf(file)), packageOf(to)))
  assert.deepEqual(broken.map(({ file, to }) => `${file} imports ${to}`), [])
})

test('the host\'s package.json has each package of a plugin in the same version', () => {
  const own = dependenciesOf('.')
  const named = globSync('plugins/*/package.json', { cwd: root }).flatMap(file => Object.entries(dependenciesOf(dirname(file))))
  assert.deepEqual(named.filter(([name, version]) => own[name] !== version), [])
})

test('the kernel imports no package and nothing of Node', () => {
  const broken = imports.filter(({ file, to }) => file.startsWith('core/kernel/') && !isOurs(to))
  assert.deepEqual(broken.map(({ file, to }) => `${file} imports ${to}`), [])
})

test('each outside package is imported in one file', () => {
  const importers = new Map<string, Set<string>>()
  for (const { file, to } of imports) {
    if (isOurs(to) || to.startsWith('node:') || to === 'bulkhead' || !file.startsWith('core/')) continue
    const name = packageOf(to)
    if (file.startsWith('core/contract/') && contractMayImport.has(name)) continue
    importers.set(name, (importers.get(name) ?? new Set()).add(file))
  }
  const broken = [...importers].filter(([, from]) => from.size > 1)
  assert.deepEqual(broken.map(([name, from]) => `${name} is imported in ${[...from].join(', ')}`), [])
})

test('the check sees the imports it is there for', () => {
  assert.ok(imports.some(({ file, to }) => file.startsWith('core/http/') && to.startsWith('core/contract/')))
  assert.ok(imports.some(({ to }) => to === 'slonik'))
})
