// Finds the problems in a set of units before any of them starts: duplicate ids, missing needs and cycles.

import type { UnitDefinition } from './unit-definition.ts'

/** Returns one sentence for each problem. The list is empty when the units can be added to the known ones. */
export function findProblems (added: readonly UnitDefinition[], isKnown: (id: string) => boolean): string[] {
  const own = new Map<string, UnitDefinition>()
  const problems: string[] = []
  for (const definition of added) {
    if (own.has(definition.id) || isKnown(definition.id)) problems.push(`There are two units "${definition.id}".`)
    own.set(definition.id, definition)
  }
  for (const { id, needs } of added) {
    for (const need of needs) {
      if (!own.has(need) && !isKnown(need)) problems.push(`"${id}" needs "${need}", and there is no such unit.`)
    }
  }
  for (const cycle of findCycles(own)) problems.push(`${cycle.join(' → ')} is a cycle: each waits for the next, so none can start.`)
  return problems
}

/** Returns the ids of all units that must settle before this one starts. */
export function idsBefore ({ needs, after = [] }: UnitDefinition): Set<string> {
  return new Set([...needs, ...after])
}

function findCycles (units: ReadonlyMap<string, UnitDefinition>): string[][] {
  const left = new Map<string, Set<string>>()
  const dependents = new Map<string, string[]>()
  for (const definition of units.values()) {
    const before = new Set([...idsBefore(definition)].filter(id => units.has(id)))
    left.set(definition.id, before)
    for (const id of before) {
      const list = dependents.get(id)
      if (list === undefined) dependents.set(id, [definition.id])
      else list.push(definition.id)
    }
  }
  // Removes the units that can start, then the units that can start after them.
  const free = [...left.keys()].filter(id => left.get(id)?.size === 0)
  for (const id of free) {
    left.delete(id)
    for (const dependent of dependents.get(id) ?? []) {
      const before = left.get(dependent)
      before?.delete(id)
      if (before?.size === 0) free.push(dependent)
    }
  }
  // Each remaining unit waits for another remaining unit, so following these links ends in a cycle.
  const cycles: string[][] = []
  const seen = new Set<string>()
  for (const start of left.keys()) {
    const path: string[] = []
    let id: string | undefined = start
    while (id !== undefined && !seen.has(id)) {
      seen.add(id)
      path.push(id)
      id = left.get(id)?.values().next().value
    }
    const from = id === undefined ? -1 : path.indexOf(id)
    if (id !== undefined && from !== -1) cycles.push([...path.slice(from), id])
  }
  return cycles
}
