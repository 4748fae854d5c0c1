// The settings that every session of the host begins with, whatever the server, the database or the role have as their defaults.

/** Host sessions find no table but by its schema, so no plugin's table, function or operator can take the place of one. */
export const hostSearchPath = 'pg_catalog,pg_temp'
/** Plugin sessions find the core's tables by their bare names, as they always have; a plugin's own are written with their schema. */
export const pluginSearchPath = 'public'

/** An `options` of the operator's own in DATABASE_URL has the last word on these. */
const defaults = [
  'statement_timeout=0', 'lock_timeout=0', 'idle_in_transaction_session_timeout=0', 'idle_session_timeout=0',
  'default_transaction_isolation=read\\ committed', 'default_transaction_read_only=off', 'default_transaction_deferrable=off'
]
/** The code counts on these: how values are written and read, and which tables are meant. */
const needed = [
  'DateStyle=ISO', 'IntervalStyle=postgres', 'TimeZone=UTC', 'standard_conforming_strings=on', 'array_nulls=on', 'transform_null_equals=off',
  'extra_float_digits=1', 'bytea_output=hex'
]

/** Given at the start of a session, they come before what ALTER DATABASE and ALTER ROLE say. */
export function withSessionOptions (url: string, searchPath: string = hostSearchPath): string {
  const changed = new URL(url)
  const own = changed.searchParams.get('options') ?? ''
  const switches = (settings: readonly string[]): string => settings.map(setting => `-c ${setting}`).join(' ')
  changed.searchParams.set('options', [switches(defaults), own, switches([...needed, `search_path=${searchPath}`])].filter(part => part !== '').join(' '))
  return changed.href
}
