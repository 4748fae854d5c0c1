// Finds every statement that the code builds with slonik's `sql`.

import ts from 'typescript'
import { createReader, Unclear, type Form, type Place } from './sql-form.ts'

export interface Finding { readonly file: string, readonly line: number, readonly message: string }

export interface Statement {
  readonly at: Place
  readonly forms: readonly Form[]
  /** What the row's schema takes in; undefined for `sql.unsafe`. */
  readonly row: ts.Type | undefined
}

export function findStatements (program: ts.Program, files: readonly string[]): { statements: Statement[], findings: Finding[] } {
  const checker = program.getTypeChecker()
  const { tagOf, readTemplate } = createReader(checker)
  const statements: Statement[] = []
  const findings: Finding[] = []
  const visit = (node: ts.Node): void => {
    ts.forEachChild(node, visit)
    if (!ts.isTaggedTemplateExpression(node)) return
    const tag = tagOf(node)
    if (tag === undefined || tag === 'fragment') return
    const unchecked = /--[ \t]*unchecked\b[ \t]*:?[ \t]*(?<why>.*)/.exec(node.template.getText())
    if (unchecked !== null) {
      if (/\w/.test(unchecked.groups?.why ?? '')) return
      findings.push({ ...describePlace(placeOf(node.template)), message: 'is left unchecked without a reason: write `-- unchecked: <why>`' })
    }
    try {
      statements.push({ at: placeOf(node), forms: readTemplate(node), row: rowOf(checker, node) })
    } catch (error) {
      if (!(error instanceof Unclear)) throw error
      findings.push({ ...describePlace(placeOf(error.node)), message: error.message })
    }
  }
  for (const file of files) {
    const source = program.getSourceFile(file)
    if (source !== undefined) visit(source)
  }
  return { statements, findings }
}

/** Values come in as the schema's input: what it makes of them is its own affair. */
function rowOf (checker: ts.TypeChecker, { tag }: ts.TaggedTemplateExpression): ts.Type | undefined {
  const schema = ts.isCallExpression(tag) ? tag.arguments.at(-1) : undefined
  if (schema === undefined) return undefined
  const input = checker.getTypeAtLocation(schema).getProperty('_input')
  if (input === undefined) throw new Unclear(schema, 'the schema of the row is not one of zod: give sql.type a z.object')
  return checker.getTypeOfSymbolAtLocation(input, schema)
}

const placeOf = (node: ts.Node): Place => ({ source: node.getSourceFile(), offset: node.getStart() })

export function describePlace ({ source, offset }: Place): { file: string, line: number } {
  return { file: source.fileName, line: source.getLineAndCharacterOfPosition(offset).line + 1 }
}
