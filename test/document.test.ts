// Holds the documents together: every relative link leads to a file and, where it names one, to a heading of it; every block of code can be read.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'
import { readBlocks } from './support/markdown.ts'

const root = join(import.meta.dirname, '..')
const documents = globSync(['*.md', '{config,core,migrations,plugins,test}/**/*.md'], { cwd: root, exclude: ['**/node_modules/**'] })
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** As GitHub makes them. */
const anchorsOf = (text: string): Set<string> => new Set([...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
  heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')))

const linksOf = (text: string): string[] =>
  [...text.replaceAll(/^```[^]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '').matchAll(/\]\(([^()\s]+)\)/g)].map(([, to = '']) => to)

test('every relative link of the documents leads to a file and to a heading that is there', () => {
  const broken = documents.flatMap(document => linksOf(read(document)).filter(to => {
    if (/^[a-z]+:/.test(to)) return false
    const [path = '', anchor] = to.split('#')
    const target = path === '' ? document : join(dirname(document), path)
    if (!existsSync(join(root, target))) return true
    return anchor !== undefined && (statSync(join(root, target)).isDirectory() || !anchorsOf(read(target)).has(anchor))
  }).map(to => `${document} links to ${to}`))
  assert.deepEqual(broken, [])
  assert.ok(documents.length >= 10)
})

/** The syntax error of a block in its language; undefined for a block that parses. */
const problems: Record<string, (content: string) => string | undefined> = {
  json: content => {
    try { JSON.parse(content) } catch (error) { return (error as Error).message }
    return undefined
  },
  sh: content => {
    const { status, stderr } = spawnSync('bash', ['-n'], { input: content, encoding: 'utf8' })
    return status === 0 ? undefined : stderr
  },
  js: content => problemOf(content, ts.ScriptKind.JS),
  ts: content => problemOf(content, ts.ScriptKind.TS)
}

function problemOf (content: string, kind: ts.ScriptKind): string | undefined {
  const source = ts.createSourceFile('block', content, ts.ScriptTarget.Latest, false, kind) as ts.SourceFile & { parseDiagnostics: ts.Diagnostic[] }
  const [first] = source.parseDiagnostics
  return first === undefined ? undefined : ts.flattenDiagnosticMessageText(first.messageText, '\n')
}

test('every block of JSON, shell, JavaScript and TypeScript in the documents can be read as such', () => {
  const blocks = documents.flatMap(document => readBlocks(read(document)).map(block => ({ document, ...block })))
  const broken = blocks.flatMap(({ document, language, content }) => {
    const problem = problems[language]?.(content)
    return problem === undefined ? [] : [`${document}: ${problem}\n${content}`]
  })
  assert.deepEqual(broken, [])
  assert.ok(blocks.length >= 20)
})

/** Paths with a file's ending, or a folder's slash, in code: those of a document in the root or in `core/` begin there. */
const namedIn = (text: string): string[] => [...text.matchAll(/`((?:core|config|migrations|test|plugins)\/[\w./*-]*(?:\.\w+|\/))`/g)].map(([, path = '']) => path)

test('every file and folder that the documents name in code is there', () => {
  const gone = documents.filter(document => document !== 'CHANGELOG.md').flatMap(document =>
    namedIn(read(document)).filter(path => globSync(path, { cwd: root }).length === 0).map(path => `${document} names ${path}`))
  assert.deepEqual(gone, [])
})
