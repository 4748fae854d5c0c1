// Finds problems that only show when all plugins are seen together: duplicate ids, mounts and events, and missing, unsuitable or circular needs.

import type { Candidate, Discovery } from './discover.ts'
import { findNearest } from './nearest.ts'
import { showPath, type Problem } from './plugin-problem.ts'
import { isWithin } from './version.ts'

export interface Validation {
  /** Problems between plugins, of which no plugin alone is to blame: ids, mounts and events that two have, and cycles. */
  readonly clashes: readonly Problem[]
  /** Plugins that are required and not here, or here in another version. The plugin that requires them is held. */
  readonly unmet: readonly Problem[]
  /** Sentences for the log about decisions that are not an error of any plugin. */
  readonly notices: readonly string[]
  /** For each plugin, the ids of its optional plugins that are present in a version it can use. */
  readonly optional: ReadonlyMap<string, readonly string[]>
}

export function validatePlugins ({ candidates, broken: brokenPlugins, skipped }: Pick<Discovery, 'candidates' | 'broken' | 'skipped'>): Validation {
  const byId = new Map<string, Candidate>()
  const byMount = new Map<string, Candidate>()
  const byEvent = new Map<string, Candidate>()
  const leftOut = new Map(skipped.flatMap(({ id, why }) => id === undefined ? [] : [[id, why] as const]))
  // Problems of these plugins are already reported. That other plugins miss them is not reported again.
  const broken = new Set(brokenPlugins.map(({ id }) => id))
  const clashes: Problem[] = []
  const unmet: Problem[] = []
  const notices: string[] = []
  const optional = new Map<string, string[]>()
  const report = ({ id, file }: Candidate, what: string, mend: string): void => { clashes.push({ plugin: id, file, what, mend }) }
  const reportUnmet = ({ id, file }: Candidate, what: string, mend: string): void => { unmet.push({ plugin: id, file, what, mend }) }

  for (const candidate of candidates) {
    const twin = byId.get(candidate.id)
    if (twin !== undefined) {
      report(candidate, `The id "${candidate.id}" is also that of ${showPath(twin.file)}.`, 'Give one of them another id, or take it away.')
      continue
    }
    byId.set(candidate.id, candidate)
    for (const mount of candidate.manifest.mounts) {
      const other = byMount.get(mount)
      if (other === undefined) byMount.set(mount, candidate)
      else report(candidate, `The mount "${mount}" is also one of "${other.id}" (${showPath(other.file)}).`, 'Name another in "mounts" of one of them.')
    }
    for (const event of Object.keys(candidate.manifest.events)) {
      const other = byEvent.get(event)
      if (other === undefined) byEvent.set(event, candidate)
      else report(candidate, `The event "${event}" is also declared by "${other.id}" (${showPath(other.file)}).`, 'An event belongs to one plugin: take it out of "events" of the other.')
    }
  }

  for (const candidate of byId.values()) {
    const { requires, optional: wishes } = candidate.manifest
    for (const [id, range] of Object.entries(requires)) {
      const other = byId.get(id)
      if (other === undefined && broken.has(id)) continue
      if (other === undefined) reportUnmet(candidate, ...missing(id, leftOut.get(id), [...byId.keys()]))
      else if (!isWithin(other.version, range)) {
        reportUnmet(candidate, `It requires "${id}" ${range}, and ${showPath(other.file)} is version ${other.version}.`, `Install a version of "${id}" within ${range}, or change "requires".`)
      }
    }
    const present: string[] = []
    for (const [id, range] of Object.entries(wishes)) {
      const other = byId.get(id)
      if (other === undefined) continue
      if (isWithin(other.version, range)) present.push(id)
      else notices.push(`Plugin "${candidate.id}" goes on without "${id}": it can use ${range}, and ${other.version} is here.`)
    }
    optional.set(candidate.id, present)
  }

  for (const path of findCycles([...byId.keys()], id => [...Object.keys(byId.get(id)?.manifest.requires ?? {}), ...optional.get(id) ?? []])) {
    const first = byId.get(path[0] ?? '')
    if (first !== undefined) report(first, `It needs itself: ${[...path, first.id].join(' → ')}.`, 'Take one of these needs out of "requires" or "optional".')
  }
  return { clashes, unmet, notices, optional }
}

function missing (id: string, whyLeftOut: string | undefined, known: readonly string[]): [what: string, mend: string] {
  if (whyLeftOut !== undefined) return [`It requires "${id}", which is left out: ${whyLeftOut}.`, `Let "${id}" load, or leave this plugin out too.`]
  const nearest = findNearest(id, known)
  return [`It requires "${id}", which is not here.`, nearest === undefined ? `Add the plugin "${id}".` : `Add the plugin "${id}"; or did you mean "${nearest}"?`]
}

/** Returns each cycle that a walk in the given order meets, once, as the path that leads back to its first id. */
function findCycles (ids: readonly string[], needsOf: (id: string) => readonly string[]): string[][] {
  const cycles: string[][] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (id: string): void => {
    if (done.has(id)) return
    const start = path.indexOf(id)
    if (start !== -1) { cycles.push(path.slice(start)); return }
    path.push(id)
    needsOf(id).forEach(visit)
    path.pop()
    done.add(id)
  }
  ids.forEach(visit)
  return cycles
}
