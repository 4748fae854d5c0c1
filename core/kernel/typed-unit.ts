// Defines units whose needs are typed: the units themselves say what their needs open, and a start is given exactly that.

import type { Opened, StartContext, UnitDefinition } from './unit-definition.ts'

/** Units by the names under which a start receives what they opened. */
export type Needs = Readonly<Record<string, UnitDefinition>>
export type Given<Units extends Needs> = { readonly [Name in keyof Units]: Units[Name] extends UnitDefinition<infer Value> ? Value : never }

type Limits = Omit<UnitDefinition, 'needs' | 'start'>
type Start<Units extends Needs, Result> = (given: Given<Units>, context: StartContext) => Result | Promise<Result>

export function defineUnit<Units extends Needs, Value> (
  limits: Limits, needs: Units, start: Start<Units, Opened<Value>>
): UnitDefinition<Value> {
  return {
    ...limits,
    needs: Object.values(needs).map(({ id }) => id),
    start: context => start(findGiven(needs, context), context)
  }
}

/** Returns what the units opened. The unit that starts must need them. */
export const findGiven = <Units extends Needs>(needs: Units, { opened }: StartContext): Given<Units> =>
  Object.fromEntries(Object.entries(needs).map(([name, { id }]) => [name, opened[id]])) as Given<Units>
