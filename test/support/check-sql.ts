// Prepares every statement of the code on a migrated database, and compares what it gives with the zod schema beside it.
// `npm run check:sql`; `-- unchecked: <why>` in a statement leaves it out.

import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import ts from 'typescript'
import { loadMigrations } from '../../core/resources/migrations/migration-file.ts'
import { findBreaks } from './check-migration.ts'
import { hostSets, migrateAll, type MigrationSet } from '../../core/resources/migrations/migrations.ts'
import { connectClient, type Client } from '../../core/resources/postgres/postgres-client.ts'
import { hostSearchPath, pluginSearchPath } from '../../core/resources/postgres/postgres-session-options.ts'
import { clock, createLog } from './part.ts'
import { start as startPostgres } from './postgres-server.ts'
import { createDescriber, type Described, type Describer, type Insert } from './sql-database.ts'
import type { Form } from './sql-form.ts'
import { describePlace, findStatements, type Finding, type Statement } from './sql-source.ts'
import { isAny, kindOf, mayBeSent, namesNull, takes } from './sql-type.ts'

/**
 * Checks the statements of `files` on the database behind `client`. Each is checked with the search path of the sessions
 * that it runs in.
 */
export async function checkSql (
  client: Client, files: readonly string[], options: ts.CompilerOptions, searchPathOf: (file: string) => string = () => pluginSearchPath
): Promise<{ count: number, findings: Finding[] }> {
  const program = ts.createProgram({ rootNames: files, options })
  const { statements, findings } = findStatements(program, files)
  const describer = await createDescriber(client)
  for (const [searchPath, ones] of Map.groupBy(statements, ({ at }) => searchPathOf(at.source.fileName))) {
    await client.query(`set search_path = ${searchPath}`)
    for (const statement of ones) findings.push(...await checkStatement(describer, program.getTypeChecker(), statement))
  }
  return { count: statements.length, findings }
}

async function checkStatement (describer: Describer, checker: ts.TypeChecker, { at, forms, row }: Statement): Promise<Finding[]> {
  const found = new Map<string, Finding>()
  for (const form of forms) {
    const text = textOf(form)
    const findings = await describer.describe(text).then(
      async described => [
        ...compareColumns(checker, described, row), ...compareParameters(checker, described, form), ...findLeftOut(await describer.findInserts(text))
      ].map(message => ({ ...describePlace(at), message })),
      (error: unknown) => [explain(error as PgError, form, describePlace(at))]
    )
    for (const finding of findings) found.set(finding.message, finding)
  }
  return [...found.values()]
}

function textOf (form: Form): string {
  let parameters = 0
  return form.map(piece => 'text' in piece ? piece.text : `$${parameters += 1}`).join('')
}

function compareColumns (checker: ts.TypeChecker, { columns }: Described, row: ts.Type | undefined): string[] {
  if (columns.length === 0) return row === undefined ? [] : propertiesOf(checker, row).map(({ name }) => `the schema has "${name}", and the statement gives no rows`)
  if (row === undefined) return ['gives rows that nothing checks: say what they are with sql.type']
  if (isAny(row)) return ['the schema says nothing of its rows: use a z.object with their columns']
  const properties = propertiesOf(checker, row)
  const names = new Set(columns.map(({ name }) => name))
  const twice = columns.filter(({ name }, index) => columns.findIndex(column => column.name === name) !== index)
  return [
    ...twice.map(({ name }) => `the statement gives the column "${name}" twice: name one with \`as\``),
    ...properties.filter(({ name }) => !names.has(name)).map(({ name }) => `the schema has "${name}", which is not among the columns: ${[...names].join(', ')}`),
    ...columns.flatMap(({ name, type, isNullable }) => {
      const property = properties.find(property => property.name === name)
      if (property === undefined) return [`the statement gives the column "${name}", which the schema does not have`]
      const said = checker.typeToString(property.type)
      return [
        ...takes(checker, property.type, type) ? [] : [`"${name}" is ${type.name}, which arrives as ${kindOf(type)}; the schema says ${said}`],
        ...isNullable === true && !namesNull(property.type) && !isAny(property.type) ? [`"${name}" may be null; the schema says ${said}`] : [],
        ...isNullable === false && namesNull(property.type) && kindOf(type) !== 'anything' ? [`"${name}" is never null; the schema says ${said}`] : []
      ]
    })
  ]
}

function propertiesOf (checker: ts.TypeChecker, type: ts.Type): { name: string, type: ts.Type }[] {
  return checker.getPropertiesOfType(type).map(property => ({ name: property.name, type: checker.getTypeOfSymbol(property) }))
}

function compareParameters (checker: ts.TypeChecker, { parameters }: Described, form: Form): string[] {
  const values = form.flatMap(piece => 'value' in piece ? [piece.value] : [])
  return values.flatMap((value, index) => {
    const type = parameters[index]
    return value === undefined || type === undefined || mayBeSent(value, type) ? []
      : [`the value $${index + 1} is ${type.name}; the code gives ${checker.typeToString(value)}`]
  })
}

/** Postgres would write null without a word. */
const findLeftOut = (inserts: readonly Insert[]): string[] => inserts.filter(({ leftOut }) => leftOut.length > 0).map(({ table, leftOut }) =>
  `the insert into ${table} leaves out ${leftOut.join(', ')}, which has no default: name it, with null where it begins empty`)

type PgError = Error & { position?: string, hint?: string }

/** Postgres' own words, at the line of the code that it means. */
function explain ({ message, position, hint }: PgError, form: Form, statement: { file: string, line: number }): Finding {
  const text = hint === undefined ? message : `${message} (${hint})`
  let left = Number(position ?? NaN) - 1
  let parameters = 0
  for (const piece of form) {
    const length = 'text' in piece ? Array.from(piece.text).length : `$${parameters += 1}`.length
    if (left < length) {
      if (!('text' in piece) || piece.at === undefined) break
      const offset = piece.at.offset + Array.from(piece.text).slice(0, left).join('').length
      return { ...describePlace({ source: piece.at.source, offset }), message: text }
    }
    left -= length
  }
  return { ...statement, message: text }
}

const root = join(import.meta.dirname, '../..')

/** The host's migrations, then those of each plugin after what it requires. */
function findMigrations (): MigrationSet[] {
  const folders = join(root, 'plugins')
  const manifests = new Map(readdirSync(folders).map(name => join(folders, name)).filter(folder => existsSync(join(folder, 'package.json'))).map(folder => {
    const { bulkhead } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { bulkhead: { id: string, requires?: Record<string, string> } }
    return [bulkhead.id, { folder, requires: Object.keys(bulkhead.requires ?? {}) }]
  }))
  const sets = new Map(hostSets(root).map(set => [set.owner, set]))
  const add = (id: string): void => {
    const manifest = manifests.get(id)
    if (!manifests.delete(id) || manifest === undefined) return
    manifest.requires.forEach(add)
    sets.set(id, { owner: id, schema: id, folder: join(manifest.folder, 'migrations') })
  }
  for (const id of [...manifests.keys()]) add(id)
  return [...sets.values()]
}

async function main (): Promise<void> {
  const breaks = findMigrations().flatMap(({ folder }) => loadMigrations(folder).files.flatMap(findBreaks))
  for (const sentence of breaks) console.error(sentence)
  if (breaks.length > 0) process.exitCode = 1
  const server = await startPostgres()
  try {
    const url = server.env['TEST_DATABASE_URL'] ?? ''
    await migrateAll({ url, sets: findMigrations(), log: createLog(), clock })
    const client = await connectClient({ url, applicationName: 'check:sql', searchPath: 'public', connectTimeoutMs: 20_000 })
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), path => readFileSync(path, 'utf8')) as { config: object }
    const { options } = ts.parseJsonConfigFileContent(config, { ...ts.sys, readDirectory: () => [] }, root)
    const files = globSync(['core/**/*.{ts,js}', 'plugins/**/*.{ts,js}'], { cwd: root }).map(file => join(root, file))
    const { count, findings } = await checkSql(client, files, options, file => relative(root, file).startsWith('core/') ? hostSearchPath : pluginSearchPath)
    await client.end()
    for (const { file, line, message } of findings) console.error(`${relative(root, file)}:${line}: ${message}`)
    console.log(findings.length === 0 ? `${count} statements are right.` : `${findings.length} faults in ${count} statements.`)
    if (findings.length > 0) process.exitCode = 1
  } finally {
    await server.stop()
  }
}

if (import.meta.main) await main()
