// Messages that an operator, an author or a user can read: one table of all of them, and the words that must not come back into them.
// `BULKHEAD_MESSAGES=1 node --test test/message-style.test.ts` prints the table: read it as somebody who does not know the code.

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'

const root = join(import.meta.dirname, '..')

interface Message { readonly place: string, readonly text: string }

const sqlWords = [
  'select', 'insert', 'update', 'delete', 'with', 'create', 'alter', 'drop', 'from', 'where', 'and', 'or', 'join', 'left join', 'order by', 'set', 'grant',
  'revoke', 'begin', 'lock', 'returning', 'union', 'limit', 'values', 'do', 'case', 'exists', 'not exists', 'coalesce', 'format'
]
const sql = new RegExp(`^\\s*(?:${sqlWords.join('|')})\\b`, 'i')
const spacesMin = 2

/** Finds the texts of three words or more; an expression in a template is shown as `‹…›`. Texts of SQL are left out. */
function messagesOf (file: string, code: string): Message[] {
  const source = ts.createSourceFile(file, code, ts.ScriptTarget.Latest, true)
  const messages: Message[] = []
  const show = (node: ts.Node): string | undefined => {
    if (ts.isStringLiteralLike(node)) return node.text
    if (ts.isTemplateExpression(node)) return node.head.text + node.templateSpans.map(({ literal }) => `‹…›${literal.text}`).join('')
    if (!ts.isBinaryExpression(node) || node.operatorToken.kind !== ts.SyntaxKind.PlusToken) return undefined
    const [left, right] = [show(node.left), show(node.right)]
    return left === undefined && right === undefined ? undefined : (left ?? '‹…›') + (right ?? '‹…›')
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isTypeNode(node)) return
    if (ts.isTaggedTemplateExpression(node)) { node.template.forEachChild(visit); return }
    const text = show(node)
    if (text !== undefined && text.split(' ').length > spacesMin && /[a-z]{3}/.test(text) && !sql.test(text)) {
      messages.push({ place: `${file}:${source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1}`, text: text.replaceAll(/\s*\n\s*/g, '⏎') })
    }
    if (text === undefined) node.forEachChild(visit)
    else if (ts.isTemplateExpression(node)) node.templateSpans.forEach(({ expression }) => visit(expression))
  }
  visit(source)
  return messages
}

/** Each has a plain word: no plugin, no longer, again, every user who, by default, notified, recorded, polled, extended, is not a …. */
const riddles = [
  /(?<!user )\bnobody\b/i, /\bno more$/, /\banew\b/i, /\bwhoever\b/i, /\bunless said\b/, /\bnot told\b/, /\bbe told\b/, /\bis tried again\b/,
  /\blooked at again\b/, /\bput off\b/, /\bis no (?:good|queue|key|plugin id|action|resource)\b/, /\bsomething to see\b/
]

const messages = globSync(['core/**/*.ts', 'config/**/*.ts', 'plugins/**/*.ts'], { cwd: root }).sort()
  .flatMap(file => messagesOf(file, readFileSync(join(root, file), 'utf8')))

test('messages use plain words', t => {
  if (process.env.BULKHEAD_MESSAGES === '1') for (const { place, text } of messages) t.diagnostic(`${place}  ${text}`)
  assert.deepEqual(messages.filter(({ text }) => riddles.some(riddle => riddle.test(text))).map(({ place, text }) => `${place} ${text.slice(0, 160)}`), [])
})

test('the check sees the messages it is there for', () => {
  assert.ok(messages.length > 800)
  assert.deepEqual(
    messagesOf('a.ts', 'throw new Error(`${a} is no more`)\nlog.warn("one two")\nlog.warn("one two " + "three")\nsql`select one from two`').map(({ text }) => text),
    ['‹…› is no more', 'one two three'])
})
