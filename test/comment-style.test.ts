// Comments are sentences with a subject, in the field's terms: the openers and words that made riddles of them do not come back.

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'

const root = join(import.meta.dirname, '..')

interface Comment { readonly place: string, readonly text: string }

/** Lines of `//` that follow each other are one comment. */
export function commentsOf (file: string, text: string): Comment[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const ranges = new Map<number, ts.CommentRange>()
  const visit = (node: ts.Node): void => {
    for (const found of [ts.getLeadingCommentRanges(text, node.getFullStart()), ts.getTrailingCommentRanges(text, node.getEnd())]) {
      for (const range of found ?? []) ranges.set(range.pos, range)
    }
    node.getChildren(source).forEach(visit)
  }
  visit(source)
  const comments: Comment[] = []
  let end = -1
  for (const { pos, end: until, kind } of [...ranges.values()].sort((a, b) => a.pos - b.pos)) {
    const isLine = kind === ts.SyntaxKind.SingleLineCommentTrivia
    const words = text.slice(pos, until).replaceAll(/^\/\*\*?|\*\/$|^\/\/|^\s*\* ?/gm, ' ').replaceAll(/\s+/g, ' ').trim()
    const last = comments.at(-1)
    if (isLine && last !== undefined && end !== -1 && /^\s*\n[ \t]*$/.test(text.slice(end, pos)) && !text.slice(end, pos).includes('\n\n')) {
      comments[comments.length - 1] = { ...last, text: `${last.text} ${words}` }
    } else {
      comments.push({ place: `${file}:${source.getLineAndCharacterOfPosition(pos).line + 1}`, text: words })
    }
    end = isLine ? until : -1
  }
  return comments
}

/** A comment that begins so has no subject, or one that names no role. */
const openers = /^(?:Of|By itself|What|Whatever|Whoever|Whom|Whose|Who|Nobody|None)\b/
/** Each has a term: by default, again, poll, release, respect, fix. */
const words = /\b(?:unless said|anew|whoever|whomever|let go of)\b/i

const comments = globSync(['core/**/*.{ts,js}', 'config/**/*.ts', 'plugins/**/*.ts'], { cwd: root }).sort()
  .flatMap(file => commentsOf(file, readFileSync(join(root, file), 'utf8')))

test('every comment begins with its subject', () => {
  assert.deepEqual(comments.filter(({ text }) => openers.test(text)).map(({ place, text }) => `${place} ${text.slice(0, 100)}`), [])
})

test('comments use the terms of the trade', () => {
  assert.deepEqual(comments.filter(({ text }) => words.test(text)).map(({ place, text }) => `${place} ${text.slice(0, 160)}`), [])
})

test('the check sees the comments it is there for', () => {
  assert.ok(comments.length > 1_000)
  assert.deepEqual(commentsOf('a.ts', '// Of a\n// b\nlet a = 1 // c\n/** What is d */\nlet d').map(({ text }) => text), ['Of a b', 'c', 'What is d'])
})
