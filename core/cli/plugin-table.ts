// Renders plugins as the table that `npm run plugins` prints.

import type { PluginStatus } from '../contract/index.ts'
import { printable, renderTable } from './text-table.ts'

const columns: readonly (readonly [title: string, read: (plugin: PluginStatus) => string])[] = [
  ['id', ({ id }) => id],
  ['version', ({ version }) => version],
  ['generation', ({ generation }) => String(generation)],
  ['state', ({ state }) => state],
  ['since', ({ since }) => since.replace('T', ' ').replace(/\.\d+Z$/, '')],
  ['needs', ({ needs }) => needs.join(', ')],
  ['routes', ({ owns }) => String(owns.routes)],
  ['tasks', ({ owns }) => String(owns.tasks)],
  ['restarts', ({ restarts }) => String(restarts)]
]

/**
 * Renders one line for each plugin, with times in UTC. Below the line it says why the plugin does not run, what keeps
 * it from following the other replicas, and what it left behind.
 */
export function renderPlugins (plugins: readonly PluginStatus[]): string {
  const [title = '', ...lines] = renderTable([columns.map(([title]) => title), ...plugins.map(plugin => columns.map(([, read]) => read(plugin)))])
  return [title, ...lines.flatMap((line, at) => [line, ...notesOf(plugins[at])])].join('\n')
}

function notesOf (plugin: PluginStatus | undefined): string[] {
  if (plugin === undefined) return []
  const { state, reason, retryAt, behind, leftBehind } = plugin
  return [
    ...state === 'running' || reason === null ? [] : [`why: ${reason}${retryAt === null ? '' : ` (tried again at ${retryAt})`}`],
    ...behind === null ? [] : [`not in the state that was set for all replicas: ${behind}`],
    ...leftBehind.length === 0 ? [] : [`left behind: ${leftBehind.join(', ')}`]
  ].flatMap(note => note.split('\n')).map(line => `    ${printable(line)}`)
}
