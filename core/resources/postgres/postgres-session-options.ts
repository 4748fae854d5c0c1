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

/** The operator can override these with `options` in DATABASE_URL. */
const defaults = [
  'statement_timeout=0', 'lock_timeout=0', 'idle_in_transaction_session_timeout=0', 'idle_session_timeout=0',
  'default_transaction_isolation=read\\ committed', 'default_transaction_read_only=off', 'default_transaction_deferrable=off'
]
/**
 * The code depends on these, so the operator cannot override them: how values are written and read, and which tables
 * are meant.
 */
const needed = [
  'DateStyle=ISO', 'IntervalStyle=postgres', 'TimeZone=UTC', 'standard_conforming_strings=on', 'array_nulls=on', 'transform_null_equals=off',
  'extra_float_digits=1', 'bytea_output=hex'
]

/**
 * Adds the options to the URL. Options that are given at the start of a session take precedence over ALTER DATABASE and
 * ALTER ROLE.
 */
export function withSessionOptions (url: string, searchPath: string = hostSearchPath): string {
  const changed = new URL(url)
  const own = changed.searchParams.get('options') ?? ''
  const switches = (settings: readonly string[]): string => settings.map(setting => `-c ${setting}`).join(' ')
  changed.searchParams.set('options', [switches(defaults), own, switches([...needed, `search_path=${searchPath}`])].filter(part => part !== '').join(' '))
  return changed.href
}
