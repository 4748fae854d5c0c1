// Loads one tree of settings from its defaults, a config file and the environment, and reports every problem with them.

import { isDeepStrictEqual } from 'node:util'
import convict from 'convict'
import { distance } from 'fastest-levenshtein'
import { formats, type FormatName, type ReadAs } from './format.ts'
import { fileVariable, readSecretFiles } from './secret-file.ts'

export interface Setting {
  readonly doc: string
  readonly format: FormatName | readonly unknown[]
  /** The value when nothing sets the setting. An empty text means that it has no value, whatever the format. */
  readonly default: unknown
  readonly env?: string
  readonly sensitive?: boolean
  /** In production the host does not start without this setting. */
  readonly production?: 'required'
}

export interface Tree { readonly [key: string]: Setting | Tree }

export type Values<T> = { readonly [Key in keyof T]: T[Key] extends { format: infer Format, default: unknown }
  ? Format extends FormatName ? ReadAs<Format> : Format extends readonly (infer Option)[] ? Option : never
  : Values<T[Key]> }

/** One line of `npm run settings`. */
export interface Row {
  readonly name: string
  readonly env: string | undefined
  /** The value as text; `[secret]` when the setting is a secret and is set. */
  readonly value: string
  /**
   * The source of the value: `default`, the config file's path, `environment` and the variable's name, or `file` and
   * the path of the file that holds the secret.
   */
  readonly source: string
  /** Says what the setting is for. */
  readonly doc: string
}

export interface Given {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The part of a config file for this tree. Messages name the file by `path`. */
  readonly file: { readonly path: string, readonly content: Content }
  /** The folder to which relative paths in settings are relative. */
  readonly root: string
  /** The prefix of the tree's names in messages and rows, with its trailing dot. */
  readonly prefix?: string
}

export interface Section {
  /** The values of the settings. A setting with an invalid value has its default here. */
  readonly values: object
  readonly rows: readonly Row[]
  readonly problems: readonly string[]
  /** The values of sensitive settings that are set; for a URL also its password. */
  readonly secrets: readonly string[]
  /** The names of variables that hold a secret, or whose `_FILE` variable names a file with one. */
  readonly secretVariables: readonly string[]
}

export type Content = Readonly<Record<string, unknown>>
export const isContent = (value: unknown): value is Content => typeof value === 'object' && value !== null && !Array.isArray(value)

const isSetting = (node: Setting | Tree | undefined): node is Setting => node !== undefined && 'default' in node && 'format' in node

for (const [name, { wants, parse, fits }] of Object.entries(formats)) {
  convict.addFormat({
    name,
    validate: value => { if (!fits(value)) throw new Error(`must be ${wants}`) },
    coerce: (text: string): unknown => parse(text) ?? text
  })
}

export function loadSection (tree: Tree, { env, file, root, prefix = '' }: Given): Section {
  const leaves = leavesOf(tree)
  const { known, problems } = sift(tree, file.content, name => `${file.path}: "${prefix}${name}"`)
  // An empty variable counts as not set, so that a compose file may list variables that it leaves open.
  const given = Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== ''))
  const files = readSecretFiles(given, secretVariablesOf(tree), root)
  const set = files.env
  const config = convict<Record<string, unknown>>(tree as convict.Schema<Record<string, unknown>>, { env: set, args: [] }).load(known)

  const values: Record<string, unknown> = {}
  const rows: Row[] = []
  const secrets: string[] = []
  for (const [name, setting] of leaves) {
    const text = setting.env === undefined ? undefined : set[setting.env]
    const path = files.paths.get(setting.env ?? '')
    const source = path !== undefined ? `file ${path}`
      : text !== undefined ? `environment ${setting.env ?? ''}` : find(known, name) !== undefined ? file.path : 'default'
    const unread = files.problems.get(setting.env ?? '')
    if (unread !== undefined) problems.push(`${prefix}${name}: ${unread}`)
    const value: unknown = config.get(name)
    const hasDefault = isDeepStrictEqual(value, setting.default)
    // convict would parse "2abc" as 2 when the options are numbers, so the text must equal the option.
    const passes = Array.isArray(setting.format)
      ? setting.format.includes(value) && (text === undefined || text === String(value))
      : hasDefault || formats[setting.format as FormatName].fits(value)
    if (!passes) {
      const shown = setting.sensitive === true ? 'a value that does not fit' : JSON.stringify(text ?? value)
      const where = path !== undefined ? `${fileVariable(setting.env ?? '')} (${path})` : text === undefined ? source : setting.env ?? ''
      problems.push(`${prefix}${name}: ${where} is ${shown}; it must be ${wantsOf(setting)}`)
    }
    const read = readAs(setting, passes ? value : setting.default, root)
    put(values, name, read)
    if (setting.sensitive === true && typeof read === 'string' && read !== '') secrets.push(read, ...passwordOf(read))
    const isHidden = setting.sensitive === true && (value !== '' || path !== undefined)
    rows.push({ name: prefix + name, env: setting.env, source, value: isHidden ? '[secret]' : show(read, value), doc: setting.doc })
  }
  return { values, rows, problems, secrets, secretVariables: secretVariablesOf(tree) }
}

/** Lists the variables that hold a secret, or whose `_FILE` variable names a file with one. */
export const secretVariablesOf = (tree: Tree): string[] =>
  leavesOf(tree).flatMap(([, { env, sensitive }]) => sensitive === true && env !== undefined ? [env] : [])

/** Returns the password of a URL both as written in the URL and decoded, so that both forms are masked. */
function passwordOf (text: string): string[] {
  const { password = '' } = URL.canParse(text) ? new URL(text) : {}
  if (password === '') return []
  // A lone % is legal in a URL, and cannot be decoded.
  try { return [password, decodeURIComponent(password)] } catch { return [password] }
}

export function leavesOf (tree: Tree, prefix = ''): [name: string, setting: Setting][] {
  return Object.entries(tree).flatMap(([key, node]) =>
    isSetting(node) ? [[prefix + key, node] as [string, Setting]] : leavesOf(node, `${prefix}${key}.`))
}

export const wantsOf = ({ format }: Setting): string =>
  Array.isArray(format) ? `one of ${format.join(', ')}` : formats[format as FormatName].wants

/**
 * Splits a file's content into known settings and problems. Unknown keys are problems, and so are objects in place of
 * values and values in place of objects.
 */
function sift (tree: Tree, content: Content, at: (name: string) => string): { known: Content, problems: string[] } {
  const problems: string[] = []
  const names = leavesOf(tree).map(([name]) => name)
  const walk = (node: Tree, part: Content, above: string): Content => Object.fromEntries(Object.entries(part).flatMap(([key, value]) => {
    const name = above + key
    const child = Object.hasOwn(node, key) ? node[key] : undefined
    if (child === undefined) problems.push(`${at(name)} is not a setting; ${suggest(name, names)}`)
    else if (isSetting(child) && isContent(value)) problems.push(`${at(name)} must be ${wantsOf(child)}, not an object`)
    else if (!isSetting(child) && !isContent(value)) problems.push(`${at(name)} must be an object with ${Object.keys(child).join(', ')}`)
    else return [[key, isSetting(child) ? value : walk(child, value as Content, `${name}.`)]]
    return []
  }))
  return { known: walk(tree, content, ''), problems }
}

/**
 * Suggests the nearest setting. A key may be misspelt or in the wrong place; comparing only the last part finds the
 * second case.
 */
function suggest (name: string, names: readonly string[]): string {
  const last = (path: string): string => path.slice(path.lastIndexOf('.') + 1)
  const cost = (other: string): number => Math.min(
    distance(name.toLowerCase(), other.toLowerCase()), distance(last(name).toLowerCase(), last(other).toLowerCase()) + 1)
  const [nearest] = names.toSorted((a, b) => cost(a) - cost(b))
  return nearest === undefined ? 'there are none here' : `the nearest is "${nearest}"`
}

function readAs (setting: Setting, value: unknown, root: string): unknown {
  if (Array.isArray(setting.format) || value === '') return value
  const { read } = formats[setting.format as FormatName] as { read?: (value: unknown, root: string) => unknown }
  return read === undefined ? value : read(value, root)
}

/** Shows a value. A value that is parsed into an object is shown as it was written. */
const show = (read: unknown, value: unknown): string =>
  [isContent(read) || (Array.isArray(read) && read.some(isContent)) ? value : read].flat().join(', ')

function find (content: Content, name: string): unknown {
  return name.split('.').reduce<unknown>((part, key) => isContent(part) ? part[key] : undefined, content)
}

function put (values: Record<string, unknown>, name: string, value: unknown): void {
  const keys = name.split('.')
  const last = keys.pop() ?? ''
  const parent = keys.reduce((part, key) => (part[key] ??= {}) as Record<string, unknown>, values)
  parent[last] = value
}
