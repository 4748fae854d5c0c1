// Finds what a migration does that code of an older version cannot live with: in a rollout, both work on one database.

import { splitStatements, type MigrationFile } from '../../core/resources/migrations/migration-file.ts'

interface Rule { readonly pattern: RegExp, readonly does: string }

/** On the words of a statement, in lower case; quoted names and punctuation are left out. */
const rules: readonly Rule[] = [
  { pattern: /^drop (?!not null)|\bdrop (?:column|constraint|default|expression|identity)\b|^alter table .*\bdrop (?!not null\b)/, does: 'drops something' },
  { pattern: /^truncate\b/, does: 'empties a table' },
  { pattern: /^alter .*\b(?:rename|set schema)\b/, does: 'renames something' },
  { pattern: /^alter (?:table|foreign table|type|domain) .*\b(?:set data type|alter (?:column |attribute )?\S+ type)\b|^alter table .*\balter (?:column )?type\b/, does: 'changes a type' },
  { pattern: /\bset not null\b/, does: 'forbids null' },
  { pattern: /^alter (?:table|domain) .*\badd (?:constraint|check|unique|foreign key|primary key|exclude)\b/, does: 'adds a rule' },
  { pattern: /^create unique index\b/, does: 'adds a unique index' },
  { pattern: /^create (?:or replace )?(?:constraint )?trigger\b|^create (?:or replace )?(?:rule|policy)\b|\b(?:enable|force) row level security\b/, does: 'adds a rule' },
  { pattern: /^revoke\b/, does: 'takes a right away' }
]

const newColumn = /\badd (?=column\b|if\b|(?!constraint|check|unique|foreign|primary|exclude)\w)/

/** A new column that an insert of older code, which does not name it, cannot fill. */
const needsValue = (words: string): boolean => /^alter table\b/.test(words) && words.split(newColumn).slice(1)
  .some(column => /\bnot null\b|\bprimary key\b/.test(column) && !/\bdefault\b|\bgenerated\b|\b(?:small|big)?serial\b/.test(column))

/** Tables that the file itself creates are used by no older code. */
const createdPattern = /^create (?:(?:global |local )?(?:temp|temporary) |unlogged )?table (?:if not exists )?(.+?)(?= |$)/
const targetPattern = /^alter table (?:if exists )?(?:only )?|\bon (?:only )?/

/** Files of the first version, before which there was no code that they could break. */
const first = new Set(['20250219_007_projects', '20250219_010_merge_requests'])

/** Sentences about statements that need the line `-- breaks: <1.4.0`; none where the file has it. */
export function findBreaks ({ name, path, text, breaks }: Pick<MigrationFile, 'name' | 'path' | 'text' | 'breaks'>): string[] {
  if (breaks !== undefined || first.has(name)) return []
  const created = new Set<string>()
  return splitStatements(nameTables(text)).flatMap(({ words, line }) => {
    const made = createdPattern.exec(words)?.[1]
    if (made !== undefined) created.add(made)
    const target = words.slice((targetPattern.exec(words)?.index ?? 0) + (targetPattern.exec(words)?.[0].length ?? 0)).split(' ')[0] ?? ''
    if (targetPattern.test(words) && created.has(target)) return []
    const does = rules.find(({ pattern }) => pattern.test(words))?.does ?? (needsValue(words) ? 'adds a column that old inserts do not fill' : undefined)
    return does === undefined ? [] : [
      `${path}:${line} ${does}, which code of an older version may not live with. Ship the version that no longer needs it first; ` +
      'then write `-- breaks: <1.4.0` as the first line of the file, with the first version that works with the change.'
    ]
  })
}

/** Joins schema and table to one word, so that a statement names its table by one; quotes are left out. */
const nameTables = (text: string): string => text.replaceAll(/"(\w+)"/g, '$1').replaceAll(/\b(\w+)\.(\w+)\b/g, '$1$$$2')
