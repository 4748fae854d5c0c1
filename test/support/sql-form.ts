// Reads what an expression puts into a statement, in every form it can take, without running the code.

import ts from 'typescript'

/** A stretch of SQL as it stands in the code, or a value that is bound to it. */
export type Piece = { readonly text: string, readonly at?: Place } | { readonly value: ts.Type | undefined }
export interface Place { readonly source: ts.SourceFile, readonly offset: number }
export type Form = readonly Piece[]

/** A statement with more forms than this is written too cleverly to check. */
const formsMax = 64
/** A function that calls itself is not followed further than this. */
const depthMax = 16

export class Unclear extends Error {
  readonly node: ts.Node
  constructor (node: ts.Node, message: string) {
    super(message)
    this.node = node
  }
}

export interface Reader {
  /** `type` of `sql.type(Row)`, `fragment` of `sql.fragment`; undefined when the tag is not slonik's. */
  tagOf (node: ts.TaggedTemplateExpression): string | undefined
  /** Throws `Unclear`. */
  readTemplate (node: ts.TaggedTemplateExpression): readonly Form[]
}

export function createReader (checker: ts.TypeChecker): Reader {
  let depth = 0
  return { tagOf, readTemplate: node => readTemplate(node, new Map()) }

  function tagOf ({ tag }: ts.TaggedTemplateExpression): string | undefined {
    const called = ts.isCallExpression(tag) ? tag.expression : tag
    return methodOf(called)
  }

  function methodOf (node: ts.Node): string | undefined {
    if (!ts.isPropertyAccessExpression(node)) return undefined
    const symbol = originOf(node.expression)
    return symbol?.name === 'sql' && symbol.declarations?.some(({ parent }) => parent.getSourceFile().fileName.includes('/slonik/')) === true
      ? node.name.text : undefined
  }

  function originOf (node: ts.Node): ts.Symbol | undefined {
    const symbol = ts.isShorthandPropertyAssignment(node.parent)
      ? checker.getShorthandAssignmentValueSymbol(node.parent) : checker.getSymbolAtLocation(node)
    return symbol !== undefined && (symbol.flags & ts.SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(symbol) : symbol
  }

  function readTemplate ({ template }: ts.TaggedTemplateExpression, bound: Bindings): readonly Form[] {
    const textOf = (node: ts.TemplateLiteralLikeNode): Form =>
      [{ text: node.text, at: { source: node.getSourceFile(), offset: node.getStart() + 1 } }]
    if (ts.isNoSubstitutionTemplateLiteral(template)) return [textOf(template)]
    const rest = template.templateSpans.flatMap(({ expression, literal }) => [read(expression, bound), [textOf(literal)]])
    return join(template, [[textOf(template.head)], ...rest])
  }

  function read (node: ts.Expression, bound: Bindings): readonly Form[] {
    const type = checker.getTypeAtLocation(node)
    if (isValue(type)) return [[{ value: type }]]
    if (isWrapping(node)) return read(node.expression, bound)
    if (ts.isConditionalExpression(node)) return [...read(node.whenTrue, bound), ...read(node.whenFalse, bound)]
    if (ts.isBinaryExpression(node) && [ts.SyntaxKind.QuestionQuestionToken, ts.SyntaxKind.BarBarToken].includes(node.operatorToken.kind)) {
      return [...read(node.left, bound), ...read(node.right, bound)]
    }
    if (ts.isTaggedTemplateExpression(node) && tagOf(node) !== undefined) return readTemplate(node, bound)
    if (ts.isCallExpression(node)) return readCall(node, bound)
    const found = follow(node, bound)
    if (found !== undefined) return read(found.node, found.bound)
    return fail(node)
  }

  function readCall (node: ts.CallExpression, bound: Bindings): readonly Form[] {
    const [first, second] = node.arguments
    const value = (cast = ''): readonly Form[] => [[{ value: undefined }, { text: cast }]]
    switch (methodOf(node.expression)) {
      case 'array': {
        const types = second === undefined ? undefined : literalsOf(second)
        if (types !== undefined) return types.map(type => [{ value: undefined }, { text: `::${quote(type)}[]` }])
        return join(node, [value('::'), second === undefined ? [[]] : read(second, bound)])
      }
      case 'binary': return value()
      case 'date': return value('::date')
      case 'interval': return [[{ text: 'make_interval(secs => ' }, { value: undefined }, { text: ')' }]]
      case 'json': return value('::json')
      case 'jsonb': return value('::jsonb')
      case 'timestamp': return [[{ text: 'to_timestamp(' }, { value: undefined }, { text: ')' }]]
      case 'uuid': return value('::uuid')
      case 'literalValue': return need(first ?? node, bound).map(text => [{ text: `'${text.replaceAll('\'', '\'\'')}'` }])
      case 'identifier': {
        const names = elementsOf(first, bound)?.map(({ node }) => need(node, bound).map(name => [{ text: quote(name) }]))
        return join(node, between(names ?? fail(node), '.'))
      }
      case 'unnest': {
        const types = elementsOf(second, bound)?.map(({ node }) => need(node, bound).map(type => {
          const dimensions = '[]'.repeat(type.split('[]').length)
          return [{ value: undefined }, { text: `::${quote(type.replaceAll('[]', ''))}${dimensions}` }]
        }))
        return join(node, [[[{ text: 'unnest(' }]], ...between(types ?? fail(node), ', '), [[{ text: ')' }]]])
      }
      case 'join': return readList(node, bound, second === undefined ? ', ' : textOf(second, bound))
      case 'list': return readList(node, bound, ', ')
      case 'and': return readList(node, bound, ' AND ', 'TRUE')
      case 'or': return readList(node, bound, ' OR ', 'FALSE')
      case undefined: return readFunction(node, bound)
      default: return fail(node)
    }
  }

  function readList ({ arguments: [members] }: ts.CallExpression, bound: Bindings, glue: string, whenEmpty?: string): readonly Form[] {
    if (members === undefined) return [[]]
    return readMembers(members, bound).flatMap(list =>
      list.length === 0 ? (whenEmpty === undefined ? [] : [[{ text: whenEmpty }]]) : join(members, between(list, glue)))
  }

  /** Each of the lists that an expression can be. A list made by `map` is one of a single member. */
  function readMembers (node: ts.Expression, bound: Bindings): readonly (readonly (readonly Form[])[])[] {
    if (ts.isConditionalExpression(node)) return [...readMembers(node.whenTrue, bound), ...readMembers(node.whenFalse, bound)]
    if (isWrapping(node)) return readMembers(node.expression, bound)
    if (ts.isArrayLiteralExpression(node)) {
      return node.elements.reduce<readonly (readonly (readonly Form[])[])[]>((lists, element) => {
        const more = ts.isSpreadElement(element) ? readMembers(element.expression, bound) : readMember(element, bound)
        return lists.flatMap(list => more.map(added => [...list, ...added]))
      }, [[]])
    }
    const element = checker.getIndexTypeOfType(checker.getTypeAtLocation(node), ts.IndexKind.Number)
    if (element !== undefined && isValue(element)) return [[[[{ value: element }]]]]
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      const [callback] = node.arguments
      if (node.expression.name.text === 'filter') return readMembers(node.expression.expression, bound)
      if (node.expression.name.text === 'map' && callback !== undefined && isFunction(callback)) {
        return [[returnsOf(callback).flatMap(result => read(result, bound))]]
      }
    }
    const found = follow(node, bound)
    return found === undefined ? fail(node) : readMembers(found.node, found.bound)
  }

  /** `and` and `or` leave out what is false, null or undefined. */
  function readMember (node: ts.Expression, bound: Bindings): readonly (readonly (readonly Form[])[])[] {
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken) return [[], [read(node.right, bound)]]
    if (ts.isConditionalExpression(node)) return [...readMember(node.whenTrue, bound), ...readMember(node.whenFalse, bound)]
    const isAbsent = (checker.getTypeAtLocation(node).flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Null | ts.TypeFlags.BooleanLiteral)) !== 0
    return isAbsent ? [[]] : [[read(node, bound)]]
  }

  function readFunction (node: ts.CallExpression, bound: Bindings): readonly Form[] {
    const target = declarationOf(node.expression)
    const callee = target !== undefined && ts.isVariableDeclaration(target) ? target.initializer : target
    if (callee === undefined || !isFunction(callee) || depth === depthMax) return fail(node)
    const inner = new Map(bound)
    callee.parameters.forEach(({ name, initializer }, index) => {
      const given = node.arguments[index] ?? initializer
      const symbol = checker.getSymbolAtLocation(name)
      if (given !== undefined && symbol !== undefined) inner.set(symbol, { node: given, bound })
    })
    const results = returnsOf(callee)
    depth += 1
    try {
      return results.length === 0 ? fail(node) : results.flatMap(result => read(result, inner))
    } finally {
      depth -= 1
    }
  }

  /** The expression that a name stands for: an argument, or the value of a const. */
  function follow (node: ts.Expression, bound: Bindings): Bound | undefined {
    const symbol = originOf(ts.isPropertyAccessExpression(node) ? node.name : node)
    const given = symbol && bound.get(symbol)
    if (given !== undefined) return given
    const target = declarationOf(node)
    if (target === undefined) return undefined
    if (ts.isPropertyAssignment(target)) return { node: target.initializer, bound }
    const isConst = ts.isVariableDeclaration(target) && (ts.getCombinedNodeFlags(target) & ts.NodeFlags.Const) !== 0
    return isConst && target.initializer !== undefined ? { node: target.initializer, bound } : undefined
  }

  function declarationOf (node: ts.Expression): ts.Declaration | undefined {
    return originOf(ts.isPropertyAccessExpression(node) ? node.name : node)?.valueDeclaration
  }

  function elementsOf (node: ts.Expression | undefined, bound: Bindings): readonly { node: ts.Expression }[] | undefined {
    if (node === undefined) return undefined
    if (ts.isArrayLiteralExpression(node)) return node.elements.map(element => ({ node: element }))
    const found = isWrapping(node) ? { node: node.expression, bound } : follow(node, bound)
    return found && elementsOf(found.node, found.bound)
  }

  /** The strings an expression can be, when its type says so. */
  function literalsOf (node: ts.Expression): string[] | undefined {
    const type = checker.getTypeAtLocation(node)
    const types = type.isUnion() ? type.types : [type]
    return types.every(type => type.isStringLiteral()) ? types.map(type => type.value) : undefined
  }

  function need (node: ts.Expression, bound: Bindings): string[] {
    const found = literalsOf(node)
    if (found !== undefined) return found
    const target = follow(node, bound)
    return target === undefined ? fail(node) : need(target.node, target.bound)
  }

  function textOf (node: ts.Expression, bound: Bindings): string {
    const [form, ...others] = read(node, bound)
    return form !== undefined && others.length === 0 && form.every(piece => 'text' in piece) ? form.map(({ text }) => text).join('') : fail(node)
  }

  function fail (node: ts.Node): never {
    throw new Unclear(node, `what ${node.getText()} puts into the SQL cannot be seen from here: write it so that it can be checked ` +
      '(a literal, a const, a function of one expression), or say in the SQL `-- unchecked: <why>`')
  }

  function isValue (type: ts.Type): boolean {
    const types = type.isUnion() ? type.types : [type]
    return types.every(type => (type.flags & valueFlags) !== 0 || ['Buffer', 'Uint8Array'].includes(type.getSymbol()?.name ?? '') ||
      (type.isIntersection() && type.types.some(part => (part.flags & valueFlags) !== 0)))
  }
}

type Bindings = ReadonlyMap<ts.Symbol, Bound>
interface Bound { readonly node: ts.Expression, readonly bound: Bindings }

const valueFlags = ts.TypeFlags.StringLike | ts.TypeFlags.NumberLike | ts.TypeFlags.BigIntLike | ts.TypeFlags.BooleanLike |
  ts.TypeFlags.Null | ts.TypeFlags.Undefined

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

const between = (forms: readonly (readonly Form[])[], glue: string): (readonly Form[])[] =>
  forms.flatMap((form, index) => index === 0 ? [form] : [[[{ text: glue }]], form])

/** Every way to take one form of each part. */
function join (node: ts.Node, parts: readonly (readonly Form[])[]): readonly Form[] {
  return parts.reduce<readonly Form[]>((forms, part) => {
    if (forms.length * part.length > formsMax) {
      throw new Unclear(node, `takes more than ${formsMax} forms, too many to check: split it into plainer statements`)
    }
    return forms.flatMap(form => part.map(more => [...form, ...more]))
  }, [[]])
}

function isWrapping (node: ts.Node): node is ts.ParenthesizedExpression | ts.AsExpression | ts.SatisfiesExpression | ts.NonNullExpression {
  return ts.isParenthesizedExpression(node) || ts.isAsExpression(node) || ts.isSatisfiesExpression(node) || ts.isNonNullExpression(node)
}

function isFunction (node: ts.Node): node is ts.ArrowFunction | ts.FunctionExpression | ts.FunctionDeclaration {
  return ts.isArrowFunction(node) || ts.isFunctionExpression(node) || ts.isFunctionDeclaration(node)
}

function returnsOf ({ body }: ts.ArrowFunction | ts.FunctionExpression | ts.FunctionDeclaration): ts.Expression[] {
  if (body === undefined) return []
  if (!ts.isBlock(body)) return [body]
  const found: ts.Expression[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) return
    if (ts.isReturnStatement(node) && node.expression !== undefined) found.push(node.expression)
    ts.forEachChild(node, visit)
  }
  visit(body)
  return found
}
