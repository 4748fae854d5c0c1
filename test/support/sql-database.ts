// Asks a database what a statement takes and gives, without running it.

import type { Client } from '../../core/resources/postgres/postgres-client.ts'

export interface ResultColumn {
  readonly name: string
  readonly type: PgType
  /** Undefined when Postgres cannot tell, as of most expressions. */
  readonly isNullable: boolean | undefined
}

export interface Described {
  readonly parameters: readonly PgType[]
  readonly columns: readonly ResultColumn[]
}

export interface PgType {
  readonly name: string
  /** Of an array, what it holds. */
  readonly element: PgType | undefined
  readonly isEnum: boolean
}

/** An `insert` of a statement: the columns that it leaves out although they have no default, so that they would be null. */
export interface Insert {
  readonly table: string
  readonly leftOut: readonly string[]
}

export interface Describer {
  describe (text: string): Promise<Described>
  /** Finds every `insert` of the text, on the search path of the session. */
  findInserts (text: string): Promise<Insert[]>
}

export async function createDescriber (client: Client): Promise<Describer> {
  const types = await readTypes(client)
  const notNull = await readNotNull(client)
  return {
    async describe (text) {
      const { parameters, fields } = await parse(client, text)
      const outputs = fields.length === 0 ? undefined : await readOutputs(client, text)
      return {
        parameters: parameters.map(types),
        columns: fields.map(({ name, dataTypeID, tableID, columnID }, index) => ({
          name, type: types(dataTypeID), isNullable: isNullable(notNull.get(`${tableID}.${columnID}`), outputs, index)
        }))
      }
    },
    async findInserts (text) {
      const inserts = text.matchAll(/\binsert\s+into\s+(?<table>[\w."]+)(?:\s+as\s+\w+)?(?:\s*\((?<columns>[^()]*)\))?/gi)
      return Promise.all([...inserts].map(async ({ groups: { table = '', columns = '' } = {} }) => {
        const named = columns.split(',').map(column => column.trim().replaceAll('"', ''))
        const { rows } = await client.query<{ name: string }>(`
          select attname as name from pg_attribute
          where attrelid = to_regclass($1) and attnum > 0 and not attisdropped and not atthasdef and attidentity = '' order by attnum`, [table])
        return { table, leftOut: rows.map(({ name }) => name).filter(name => !named.includes(name)) }
      }))
    }
  }
}

interface Field { name: string, dataTypeID: number, tableID: number, columnID: number }
type Wire = Record<'parse' | 'describe', (message: object) => void> & {
  sync (): void
  on (event: 'parameterDescription', listener: (message: { dataTypeIDs: number[] }) => void): void
  off (event: 'parameterDescription', listener: (message: { dataTypeIDs: number[] }) => void): void
}

/** Postgres' own Parse and Describe: types, and of which table each column is, for every statement, without a row of data. */
function parse (client: Client, text: string): Promise<{ parameters: number[], fields: Field[] }> {
  return new Promise((resolve, reject) => {
    let parameters: number[] = []
    let fields: Field[] = []
    let wire: Wire | undefined
    const take = ({ dataTypeIDs }: { dataTypeIDs: number[] }): void => { parameters = dataTypeIDs }
    const finish = (settle: () => void): void => { wire?.off('parameterDescription', take); settle() }
    client.query({
      submit (connection: unknown) {
        wire = connection as Wire
        wire.on('parameterDescription', take)
        wire.parse({ name: '', text, types: [] })
        wire.describe({ type: 'S', name: '' })
        wire.sync()
      },
      handleRowDescription (message: { fields: Field[] }) { fields = message.fields },
      handleReadyForQuery () { finish(() => resolve({ parameters, fields })) },
      handleError (error: Error) { finish(() => reject(error)) }
    })
  })
}

async function readTypes (client: Client): Promise<(oid: number) => PgType> {
  const { rows } = await client.query<{ oid: number, typname: string, typtype: string, typbasetype: number, element: number }>(`
    select oid, typname, typtype, typbasetype, case when typcategory = 'A' then typelem else 0 end as element from pg_type`)
  const byOid = new Map(rows.map(row => [row.oid, row]))
  const typeOf = (oid: number): PgType => {
    const row = byOid.get(oid)
    if (row === undefined) return { name: `type ${oid}`, element: undefined, isEnum: false }
    if (row.typtype === 'd') return typeOf(row.typbasetype)
    return { name: row.typname, element: row.element === 0 ? undefined : typeOf(row.element), isEnum: row.typtype === 'e' }
  }
  return typeOf
}

/** By `table.column`, whether a column of a table is declared not null. Of a view's columns nothing is known. */
async function readNotNull (client: Client): Promise<Map<string, boolean>> {
  const { rows } = await client.query<{ key: string, not_null: boolean }>(`
    select attrelid::int8 || '.' || attnum as key, attnotnull as not_null
    from pg_attribute join pg_class c on c.oid = attrelid where attnum > 0 and c.relkind in ('r', 'p')`)
  return new Map(rows.map(({ key, not_null: notNull }) => [key, notNull]))
}

interface Plan { Output?: string[], 'Join Type'?: string, 'Parent Relationship'?: string, Plans?: Plan[] }

interface Outputs {
  /** What each result column is, in the words of the planner. */
  readonly columns: readonly string[]
  /** What comes from the side of an outer join that may have no row, and what comes from the other. */
  readonly optional: ReadonlySet<string>
  readonly certain: ReadonlySet<string>
  readonly hasOuterJoin: boolean
}

async function readOutputs (client: Client, text: string): Promise<Outputs | undefined> {
  const { rows: [row] } = await client.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`explain (verbose, format json, generic_plan) ${text}`)
    // What cannot be explained, a utility statement, has no outer joins either.
    .catch(() => ({ rows: [] }))
  const plan = row?.['QUERY PLAN'][0].Plan
  if (plan === undefined) return undefined
  const optional = new Set<string>()
  const certain = new Set<string>()
  let hasOuterJoin = false
  const visit = ({ Plans: children = [], 'Join Type': join }: Plan): void => {
    for (const child of children) {
      const isOptional = join === 'Full' || (join === 'Left' && child['Parent Relationship'] === 'Inner') ||
        (join === 'Right' && child['Parent Relationship'] === 'Outer')
      hasOuterJoin ||= isOptional
      for (const output of child.Output ?? []) (isOptional ? optional : certain).add(output)
      visit(child)
    }
  }
  visit(plan)
  return { columns: plan.Output ?? [], optional, certain, hasOuterJoin }
}

/** Expressions that give a value whatever they are given. */
const constant = /('.*'::[a-z ]+(\[\])?|\d+|true|false)/.source
const neverNull = new RegExp(`^(count\\(.*\\)|now\\(\\)|EXISTS\\(.*\\)|\\(NOT .*EXISTS\\(.*\\)\\)|COALESCE\\(.*, ${constant}\\)|${constant})$`, 's')

function isNullable (notNull: boolean | undefined, outputs: Outputs | undefined, index: number): boolean | undefined {
  const output = outputs?.columns[index] ?? ''
  if (notNull === undefined) return neverNull.test(output) ? false : undefined
  if (!notNull) return true
  if (outputs === undefined || !outputs.hasOuterJoin) return false
  if (outputs.optional.has(output)) return true
  return outputs.certain.has(output) ? false : undefined
}
