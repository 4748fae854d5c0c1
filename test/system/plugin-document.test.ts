// Holds the README of every plugin to what the plugin declares: routes and who may call them, permissions, events, settings.

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { PluginDefinition } from '../../core/contract/index.ts'
import type { RouteRecord } from '../../core/handover/route-record.ts'
import { readTable } from '../support/markdown.ts'
import { readRouteTable } from './route-table.ts'

const folder = join(import.meta.dirname, '../../plugins')
const ids = globSync('*/package.json', { cwd: folder }).map(file => dirname(file)).toSorted()
// Also makes `bulkhead` known, so that a plugin can be imported below.
const { routes } = await readRouteTable([folder])

const code = (text: string): string => `\`${text}\``

function needsOf ({ options }: RouteRecord): string {
  if (options.permission !== undefined) return code(options.permission) + (options.project === undefined ? '' : ' in the project')
  return options.public === undefined ? 'signed in' : 'anyone'
}

const show = (value: unknown): string => [value].flat().join(',') === '' ? '–' : code([value].flat().join(','))

for (const id of ids) {
  test(`plugins/${id}/README.md lists the routes, permissions, events and settings that the plugin declares`, async () => {
    const text = readFileSync(join(folder, id, 'README.md'), 'utf8')
    const { default: { permissions = {}, config = {} } } = await import(join(folder, id, 'index.ts')) as { default: PluginDefinition }
    const { bulkhead: { events = {} } } = JSON.parse(readFileSync(join(folder, id, 'package.json'), 'utf8')) as { bulkhead: { events?: object } }

    const listed = readTable(text, 'route').map(([route, needs = '']) => [route, needs.split(':')[0]?.startsWith('`') === true ? needs : needs.split(':')[0]])
    assert.deepEqual(listed.toSorted(), routes.filter(({ plugin }) => plugin === id).map(route =>
      [code(`${route.method.toUpperCase()} /api/${route.mount}${route.path === '/' ? '' : route.path}`), needsOf(route)]).toSorted())

    assert.deepEqual(readTable(text, 'permission').map(([name, roles]) => [name, roles]), Object.entries(permissions).map(([name, { roles = [] }]) =>
      [code(name), roles.length === 0 ? '–' : roles.map(code).join(', ')]))

    assert.deepEqual(readTable(text, 'event').map(([name]) => name), Object.keys(events).map(code))

    assert.deepEqual(readTable(text, 'setting').map(([name, variable, byDefault]) => [name, variable, byDefault]),
      Object.entries(config).map(([name, { env = '', default: value }]) => [code(name), code(env), show(value)]))
  })
}
