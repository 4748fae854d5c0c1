// Loads a plugin's own settings, as its definition declares them, as strictly as the host's.

import type { ConfigFields } from '../core/contract/index.ts'
import { formats, isFormatName } from './format.ts'
import { isContent, loadSection, wantsOf, type Given, type Section, type Setting } from './load.ts'

interface Declared {
  readonly id: string
  readonly fields: ConfigFields
  /** The content of `plugins.config.<id>` in the config file. */
  readonly content: unknown
}

/**
 * Loads the section of one plugin. A wrongly declared field is reported as a problem and has no value. `hostEnvs` are
 * the variables that set something of the host.
 */
export function loadPluginSection ({ id, fields, content }: Declared, given: Given, hostEnvs: ReadonlySet<string | undefined>): Section {
  if (content === undefined && Object.keys(fields).length === 0) return nothing
  return load({ id, fields, content: content ?? {} }, given, hostEnvs)
}

const nothing: Section = { values: {}, rows: [], problems: [], secrets: [], secretVariables: [] }

function load ({ id, fields, content }: Declared, given: Given, hostEnvs: ReadonlySet<string | undefined>): Section {
  const prefix = `plugins.config.${id}.`
  const tree: Record<string, Setting> = {}
  const problems: string[] = []
  for (const [name, field] of Object.entries(fields)) {
    const wrong = checkField(name, field, hostEnvs)
    if (wrong === undefined) tree[name] = field as Setting
    else problems.push(`plugin "${id}", config.${name}: ${wrong}`)
  }
  if (!isContent(content)) problems.push(`${given.file.path}: "plugins.config.${id}" must be an object`)
  const section = loadSection(tree, { ...given, prefix, file: { path: given.file.path, content: isContent(content) ? content : {} } })
  return { ...section, problems: [...problems, ...section.problems] }
}

/**
 * Checks a declared field. The types prove nothing here: fields come from other authors' code, and perhaps from
 * JavaScript.
 */
function checkField (name: string, field: unknown, hostEnvs: ReadonlySet<string | undefined>): string | undefined {
  if (!/^[a-z][A-Za-z0-9]*$/.test(name)) return 'the name must be letters and digits and begin with a small letter'
  if (!isContent(field)) return 'must be { doc, format, default, env? }'
  const { doc, format, default: value, env, sensitive, ...unknown } = field
  if (Object.keys(unknown).length > 0) return `"${Object.keys(unknown).join('", "')}" is not part of a field; those are doc, format, default, env, sensitive`
  if (typeof doc !== 'string' || doc === '') return 'doc must say what it is for'
  if (env !== undefined && !(typeof env === 'string' && /^[A-Z][A-Z0-9_]*$/.test(env))) return 'env must be capitals, digits and underscores'
  if (env !== undefined && hostEnvs.has(env)) return `env "${env}" is a setting of the host; use a name that begins with the plugin's own`
  if (sensitive !== undefined && typeof sensitive !== 'boolean') return 'sensitive must be true or false'
  if (!Array.isArray(format) && !(typeof format === 'string' && isFormatName(format))) {
    return `format must be a list of options or one of ${Object.keys(formats).join(', ')}`
  }
  const setting = field as unknown as Setting
  const fits = Array.isArray(format) ? format.includes(value) : value === '' || formats[format].fits(value)
  return fits ? undefined : `the default must be ${wantsOf(setting)}`
}
