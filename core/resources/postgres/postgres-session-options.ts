// Sets the options that every session of the host begins with, whatever defaults the server, the database or the role
// have.

/**
 * Host sessions find a table only by its schema, so no table, function or operator of a plugin can take the place of
 * the one that is meant.
 */
export const hostSearchPath = 'pg_catalog,pg_temp'
/**
 * Plugin sessions find the core's tables by their bare names, as they always have. A plugin's own tables are written
 * with their schema.
 */
export const pluginSearchPath = 'public'

type Option = readonly [name: string, value: string]

/** The operator can override these with `options` in DATABASE_URL. */
const defaults: readonly Option[] = [
  ['statement_timeout', '0'], ['lock_timeout', '0'], ['idle_in_transaction_session_timeout', '0'], ['idle_session_timeout', '0'],
  ['default_transaction_isolation', 'read committed'], ['default_transaction_read_only', 'off'], ['default_transaction_deferrable', 'off']
]
/**
 * The code depends on these, so the operator cannot override them: how values are written and read, and which tables
 * are meant.
 */
const needed: readonly Option[] = [
  ['DateStyle', 'ISO'], ['IntervalStyle', 'postgres'], ['TimeZone', 'UTC'], ['standard_conforming_strings', 'on'], ['array_nulls', 'on'],
  ['transform_null_equals', 'off'], ['extra_float_digits', '1'], ['bytea_output', 'hex']
]

export interface SessionOptions {
  readonly searchPath?: string | undefined
  /** Time after which the server ends a statement, or a session that is idle in a transaction. */
  readonly statementTimeoutMs?: number | undefined
}

/** Lists the options of a session in the order in which they apply; a later one wins. */
export function listSessionOptions (own: string, { searchPath = hostSearchPath, statementTimeoutMs }: SessionOptions): readonly Option[] {
  const limits: readonly Option[] = statementTimeoutMs === undefined ? []
    : [['statement_timeout', `${statementTimeoutMs}`], ['idle_in_transaction_session_timeout', `${statementTimeoutMs}`]]
  return [...defaults, ...readOptions(own), ...needed, ...limits, ['search_path', searchPath]]
}

/**
 * Writes the options as the start of a session sends them. Options that are given there take precedence over ALTER
 * DATABASE and ALTER ROLE.
 */
export const writeSessionOptions = (options: readonly Option[]): string =>
  options.map(([name, value]) => `-c ${name}=${value.replaceAll(/[\\\s]/g, '\\$&')}`).join(' ')

/**
 * Reads `-c name=value` and `--name=value`, with a backslash before a space or a backslash of the value. A name has at
 * most two parts of 63 letters.
 */
function readOptions (own: string): Option[] {
  return [...own.matchAll(/(?:-c\s*|--)(\w[\w.-]{0,126})=((?:\\.|[^\s\\])*)/g)].map(([, name = '', value = '']) => [name.replaceAll('-', '_'), value.replaceAll(/\\(.)/g, '$1')])
}
