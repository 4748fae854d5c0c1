// Holds the table of settings in config/README.md to the schema and to production.json.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { leavesOf } from '../../config/load.ts'
import { schema } from '../../config/schema.ts'
import { readTable } from '../support/markdown.ts'

const folder = join(import.meta.dirname, '../../config')
const production = JSON.parse(readFileSync(join(folder, 'production.json'), 'utf8')) as object

const show = (value: unknown): string => [value].flat().join(',') === '' ? '–' : `\`${[value].flat().map(String).join(',')}\``

function inProduction (name: string, isRequired: boolean): string {
  const value = name.split('.').reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], production)
  return value === undefined ? isRequired ? 'required' : '' : show(value)
}

test('config/README.md lists every setting in the order of the schema, with its variable, its default and its value in production', () => {
  const rows = readTable(readFileSync(join(folder, 'README.md'), 'utf8'), 'setting')
  assert.deepEqual(rows.map(([setting, variable, byDefault]) => [setting, variable, byDefault]),
    leavesOf(schema).map(([name, { env = '', default: value }]) => [`\`${name}\``, `\`${env}\``, show(value)]))
  // The password of the first admin is the one that production asks for only while there are no users.
  assert.deepEqual(rows.map(([setting, , , value]) => [setting, value === 'while there are no users' ? '' : value]),
    leavesOf(schema).map(([name, { production: rule }]) => [`\`${name}\``, inProduction(name, rule === 'required')]))
  assert.deepEqual(rows.filter(([, , , , doc = '']) => doc === ''), [])
})
