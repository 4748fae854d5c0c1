// No regular expression of the host or its plugins takes time that grows faster than the text it reads.

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'
import { z } from '../core/contract/index.ts'
import { findGrowth } from './support/growth.ts'
import { hostileTexts } from './support/hostile-text.ts'

const root = join(import.meta.dirname, '..')

interface Found { readonly file: string, readonly line: number, readonly pattern: RegExp }

const found: Found[] = []
const composed: string[] = []
for (const file of globSync(['core/**/*.{ts,js}', 'config/**/*.ts', 'plugins/**/*.ts'], { cwd: root }).sort()) {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true)
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/')
      const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1
      found.push({ file, line, pattern: new RegExp(node.text.slice(1, end), node.text.slice(end + 1)) })
    }
    if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && node.expression.getText() === 'RegExp') composed.push(file)
    ts.forEachChild(node, visit)
  }
  visit(source)
}

const growthOf = (pattern: RegExp): string | undefined => {
  for (const textOf of hostileTexts(pattern)) {
    const growth = findGrowth(textOf, text => { text.replace(pattern, '') })
    if (growth !== undefined) return growth
  }
  return undefined
}

/** Not read by the host from outside: an author's own files, which are trusted as code is. */
const exempt = new Map([
  ['core/resources/migrations/migration-file.ts', ['/\\/\\*(?:[^*/]|\\*(?!\\/)|\\/(?!\\*)|\\/\\*(?:[^*]|\\*(?!\\/))*\\*\\/)*\\*\\//u']]
])

test('no regular expression grows faster than its text', () => {
  assert.deepEqual(found.flatMap(({ file, line, pattern }) => {
    const growth = exempt.get(file)?.includes(String(pattern)) === true ? undefined : growthOf(pattern)
    return growth === undefined ? [] : [`${file}:${line} ${String(pattern)}: ${growth}`]
  }), [])
})

test('regular expressions are composed in four places, whose parts are known', () => {
  // Two read an author's SQL, one is a choice of literal texts, and one is a class of characters with a bounded count.
  const files = ['core/resources/migrations/migration-file.ts', 'core/resources/migrations/migration-file.ts', 'core/telemetry/value-mask.ts', 'plugins/secrets/form.ts']
  assert.deepEqual(composed, files)
})

test('the regular expressions that zod brings for what routes declare do not grow faster either', () => {
  const { uuid, datetime, email, date, emoji } = z.regexes
  for (const pattern of [uuid(), datetime({}), datetime({ offset: true, local: true }), email, date, emoji()]) {
    assert.equal(growthOf(pattern), undefined, String(pattern))
  }
})

test('the check sees the expressions it is there for', () => {
  assert.ok(found.length > 100)
  const bad = [
    /^application\/(?:[\w.-]+\+)?json *(?:; *charset="?utf-8"?)? *$/i,
    /\s+$/, /(a+)+$/, /^(?:\w+\s?)*$/, /file:\/\/.+?:\d+$/, /<!--.*-->/, /^(a|aa)+$/
  ]
  for (const pattern of bad) assert.notEqual(growthOf(pattern), undefined, String(pattern))
  for (const pattern of [/^a+$/, /\s+/g, /^(?:[a-z]+-)*[a-z]+$/, /^[^@]+@[^@]+$/]) assert.equal(growthOf(pattern), undefined, String(pattern))
})
