// Reloads a plugin when a file in its folder is saved; for `npm run dev`.

import { existsSync, realpathSync } from 'node:fs'
import { describeThrown } from '../contract/thrown.ts'
import type { UnitDefinition } from '../kernel/index.ts'
import { watchFolders, type Roster } from '../plugin-runtime/index.ts'
import { discoverPlugins } from './plugin-units.ts'
import type { HostUnits } from './host-units.ts'
import { hostUnit, type UnitParts } from './unit-context.ts'

export function createWatchUnit (parts: UnitParts, { roster }: Pick<HostUnits, 'roster'>): UnitDefinition {
  const { loaded: { settings: { plugins: { paths } } }, clock, log } = parts
  return hostUnit(parts)('watch', { roster }, ({ roster }, { undo }) => {
    /** Folders that could not be loaded, each with the reason. */
    const refused = new Map<string, string>()
    const load = async (folder: string): Promise<void> => {
      try {
        await follow(parts, roster, folder)
      } catch (error) {
        const why = describeThrown(error)
        if (refused.get(folder) !== why) log.error({}, `not reloaded: ${why}`)
        refused.set(folder, why)
        return
      }
      refused.delete(folder)
      // This folder may be what the refused ones lacked.
      for (const other of [...refused.keys()]) await load(other)
    }
    const stop = watchFolders({
      paths,
      clock,
      onChange: folder => {
        // The folder was saved again, so its problem is logged again, even when it is the same.
        refused.delete(folder)
        void load(folder)
      }
    })
    undo('stop watching', stop)
    log.info({ paths }, 'watching the plugin folders: a saved file reloads its plugin')
  })
}

/** Reloads the plugin in this replica only: other replicas have folders of their own. */
async function follow (parts: UnitParts, roster: Roster, path: string): Promise<void> {
  const folder = existsSync(path) ? realpathSync.native(path) : path
  const { candidates, broken } = await discoverPlugins(parts)
  const known = roster.members().find(({ candidate }) => candidate.folder === folder)
  const all = known === undefined ? [...candidates, ...broken] : candidates
  const found = all.find(candidate => candidate.folder === folder)
  // A manifest with another id is another plugin, and the previous plugin is gone. Both are reloaded.
  const ids = new Set([known?.id, found?.id].filter(id => id !== undefined))
  for (const id of ids) await roster.reload(id)
}
