// Reads a folder of migrations and checks it before any file runs: names, text, and that each file fits in one
// transaction.

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'

export interface MigrationFile {
  /** The file's name without `.sql`. Migrations run in the order of their names. */
  readonly name: string
  /** Path of the file, as a person would type it. */
  readonly path: string
  readonly text: string
  /** SHA-256 of `text`, so that a checkout with other line endings is the same migration. */
  readonly sha256: string
  /** Path of the file that undoes the migration, if there is one. */
  readonly downPath: string | undefined
  /** The first version that can work with the migration, from a first line `-- breaks: <1.4.0`; undefined: any can. */
  readonly breaks: string | undefined
}

export interface MigrationFolder {
  readonly files: readonly MigrationFile[]
  readonly problems: readonly string[]
}

const breaksPattern = /^(?<claim>--\s*breaks\b)(?::[ ]*<(?<breaks>\d+\.\d+\.\d+)[ ]*(?=\n|$))?/i
const namePattern = /^(?<number>\d+(_\d+)*)_[a-z][a-z0-9_]*$/

/**
 * Reads every `.sql` file of a folder; a folder that does not exist holds none. The calls are synchronous: no other
 * work waits for them, and they are faster.
 */
export function loadMigrations (folder: string): MigrationFolder {
  const entries = existsSync(folder) ? readdirSync(folder).filter(entry => entry.endsWith('.sql')).sort() : []
  const downs = new Set(entries.filter(entry => entry.endsWith('.down.sql')))
  const ups = entries.filter(entry => !downs.has(entry))
  const problems: string[] = []
  const files = ups.flatMap(entry => {
    const path = pathOf(join(folder, entry))
    const name = basename(entry, '.sql')
    const text = readText(path)
    const down = `${name}.down.sql`
    problems.push(...findNameProblems(name, ups[0] ?? entry, path))
    if (text === undefined) problems.push(notText(path))
    const { claim, breaks } = breaksPattern.exec(text ?? '')?.groups ?? {}
    if (claim !== undefined && breaks === undefined) problems.push(`${path}:1 says which versions it breaks, and not in the form \`-- breaks: <1.4.0\`. Write it so.`)
    return text === undefined ? [] : [{
      name, path, text,
      sha256: createHash('sha256').update(text).digest('hex'),
      downPath: downs.delete(down) ? pathOf(join(folder, down)) : undefined,
      breaks
    }]
  })
  for (const down of downs) {
    problems.push(`${pathOf(join(folder, down))} undoes no migration: there is no ${basename(down, '.down.sql')}.sql beside it. Add that file, or delete this one.`)
  }
  return { files, problems }
}

export interface DownFile {
  readonly path: string
  readonly text: string
  readonly problems: readonly string[]
}

/** Reads a down file when it is needed, and checks it as its up file was checked. */
export function loadDown (path: string): DownFile {
  const text = readText(path)
  return text === undefined ? { path, text: '', problems: [notText(path)] } : { path, text, problems: findTextProblems({ path, text }) }
}

function pathOf (path: string): string {
  const fromHere = relative('', path)
  return fromHere.startsWith('..') ? path : fromHere
}

/** Returns undefined when the file is not text. Removes a byte order mark and ends lines with \n. */
function readText (path: string): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path)).replaceAll('\r\n', '\n')
    // Postgres would read a zero byte as the end of the text.
    return text.includes('\0') ? undefined : text
  } catch (error) {
    if (error instanceof TypeError) return undefined
    throw error
  }
}

const notText = (path: string): string => `${path} is not UTF-8 text. Save it as UTF-8.`

function findNameProblems (name: string, first: string, path: string): string[] {
  const number = namePattern.exec(name)?.groups?.number
  if (number === undefined) {
    return [`${path} is not named like a migration. Name it <number>_<words>.sql, in lower case, such as 20260301_001_invoices.sql.`]
  }
  const firstNumber = namePattern.exec(basename(first, '.sql'))?.groups?.number ?? number
  // 10_b sorts before 9_a, so all numbers must have the same number of digits.
  return shapeOf(number) === shapeOf(firstNumber) ? []
    : [`${path} is numbered ${number} where ${first} beside it is numbered ${firstNumber}. Give both as many digits, so that their names sort as they run.`]
}

const shapeOf = (number: string): string => number.replaceAll(/\d/g, '0')

/** Finds the reasons why a file cannot run in one transaction. */
export function findTextProblems ({ path, text }: { path: string, text: string }): string[] {
  const statements = splitStatements(text)
  if (statements.length === 0) return [`${path} holds no statement. Write one, or delete the file.`]
  return statements.flatMap(({ words, line }) => {
    if (transactionControl.test(words)) {
      return [`${path}:${line} has its own "${wordsOf(words, 2)}". A migration runs in one transaction with its row in the journal: take the statement out.`]
    }
    if (outsideTransaction.test(words)) {
      return [`${path}:${line} has "${wordsOf(words, 4)}", which cannot run in a transaction, and a migration always runs in one. Write it without, or run it by hand.`]
    }
    return []
  })
}

const wordsOf = (words: string, count: number): string => words.split(' ').slice(0, count).join(' ')

const transactionControl = /^(begin|start transaction|commit|end|abort|prepare transaction|rollback(?!( work| transaction)? to))\b/
const outsideTransaction = new RegExp(`^(${[
  'vacuum', 'alter system', '(create|drop) (database|tablespace|subscription)', '(create|create unique|drop) index concurrently',
  'reindex .*\\bconcurrently', 'alter table .*\\bdetach partition .*\\bconcurrently'
].join('|')})\\b`)

export interface Statement {
  /** The unquoted words of the statement in lower case, with one space between them. */
  readonly words: string
  readonly line: number
}

// Comments and quoted text come first, because their content is not a statement. Nested comments are rare, so the
// pattern supports only two levels.
const token = new RegExp([
  /--[^\n]*/u, /\/\*(?:[^*/]|\*(?!\/)|\/(?!\*)|\/\*(?:[^*]|\*(?!\/))*\*\/)*\*\//u, /[eE]'(?:\\.|''|[^'\\])*'/u, /'(?:''|[^'])*'/u, /"(?:""|[^"])*"/u,
  /\$(?<tag>[\p{L}_][\p{L}\p{N}_]*)?\$.*?\$\k<tag>\$/u, /(?<word>[\p{L}_][\p{L}\p{N}_$]*)/u, /(?<other>\S)/u
].map(({ source }) => source).join('|'), 'gsu')

/**
 * Splits a file at its semicolons as psql does. Semicolons inside comments, quotes or the `begin atomic … end` of a
 * function's body do not count.
 */
export function splitStatements (text: string): Statement[] {
  const statements: Statement[] = []
  let words: string[] = []
  let start: number | undefined
  let depth = 0
  let line = 1
  let counted = 0
  const finish = (): void => {
    if (start !== undefined) {
      line += text.slice(counted, start).split('\n').length - 1
      counted = start
      statements.push({ words: words.join(' '), line })
    }
    words = []
    start = undefined
    depth = 0
  }
  for (const match of text.matchAll(token)) {
    const { word, other } = match.groups ?? {}
    if (match[0].startsWith('--') || match[0].startsWith('/*')) continue
    if (other === ';' && depth === 0) { finish(); continue }
    start ??= match.index
    if (word === undefined) continue
    const lower = word.toLowerCase()
    const isRoutine = /^create (or replace )?(function|procedure)\b/.test(words.slice(0, 4).join(' '))
    if (isRoutine && (lower === 'begin' || (lower === 'case' && depth > 0))) depth += 1
    if (lower === 'end' && depth > 0) depth -= 1
    words.push(lower)
  }
  finish()
  return statements
}
