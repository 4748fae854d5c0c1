// Whether a value of a Postgres type, as the host reads it, is what a type of the code says.

import ts from 'typescript'
import type { PgType } from './sql-database.ts'

type Kind = 'string' | 'number' | 'boolean' | 'Buffer' | 'anything'

// As core/contract/postgres.ts has it. What is not named here arrives as text.
const kinds: Record<string, Kind> = {
  bool: 'boolean', int2: 'number', int4: 'number', int8: 'number', oid: 'number', float4: 'number', float8: 'number', bytea: 'Buffer',
  json: 'anything', jsonb: 'anything', record: 'anything', point: 'anything', circle: 'anything'
}

export const kindOf = ({ name, element }: PgType): string => element === undefined ? kinds[name] ?? 'string' : `${kindOf(element)}[]`

export const isAny = ({ flags }: ts.Type): boolean => (flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) !== 0

export const namesNull = (type: ts.Type): boolean => partsOf(type).some(({ flags }) => (flags & ts.TypeFlags.Null) !== 0)

/** Whether every value of `pgType`, null aside, may be one of `type`. */
export function takes (checker: ts.TypeChecker, type: ts.Type, pgType: PgType): boolean {
  const kind = kindOf(pgType)
  if (kind === 'anything' || isAny(type)) return true
  return partsOf(type).some(part => {
    if (pgType.element === undefined) return kindOfPart(part) === kind
    const element = checker.isArrayLikeType(part) ? checker.getIndexTypeOfType(part, ts.IndexKind.Number) : undefined
    return element !== undefined && takes(checker, element, pgType.element)
  })
}

/** Whether a value that is bound may be sent as `pgType`. Text goes for whatever has no form of its own. */
export function mayBeSent (type: ts.Type, pgType: PgType): boolean {
  const kind = pgType.element === undefined ? kindOf(pgType) : 'anything'
  return kind === 'anything' || partsOf(type).every(part => {
    const sent = kindOfPart(part)
    return sent === undefined || sent === kind || (sent === 'number' && ['numeric', 'text', 'varchar'].includes(pgType.name))
  })
}

const partsOf = (type: ts.Type): readonly ts.Type[] => type.isUnion() ? type.types : [type]

/** Undefined for null, undefined and whatever is no single value. */
function kindOfPart (type: ts.Type): Kind | undefined {
  // A brand is an intersection.
  if (type.isIntersection()) return type.types.map(kindOfPart).find(kind => kind !== undefined)
  if ((type.flags & ts.TypeFlags.StringLike) !== 0) return 'string'
  if ((type.flags & (ts.TypeFlags.NumberLike | ts.TypeFlags.BigIntLike)) !== 0) return 'number'
  if ((type.flags & ts.TypeFlags.BooleanLike) !== 0) return 'boolean'
  return ['Buffer', 'Uint8Array'].includes(type.getSymbol()?.name ?? '') ? 'Buffer' : undefined
}
