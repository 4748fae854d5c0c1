// The check of SQL finds each kind of fault, with file and line, and leaves right statements alone.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'
import { connectClient } from '../../core/resources/postgres/postgres-client.ts'
import { hostSearchPath, pluginSearchPath } from '../../core/resources/postgres/postgres-session-options.ts'
import { checkSql } from './check-sql.ts'
import { createDatabase } from './database.ts'

/** In what is right: one statement says why it is left unchecked. */
const leftUnchecked = 1
const root = join(import.meta.dirname, '../..')

const head = `import { sql, z } from 'bulkhead'
declare const id: string, name: string, flag: boolean, many: string[], count: number, bytes: Buffer
const User = z.object({ id: z.uuid(), name: z.string(), displayName: z.string().nullable() })
`

/** What stands from line 4 on, and what is said of it: the line and the words. */
const faults: Record<string, [code: string, ...said: [line: number, words: RegExp][]]> = {
  'a column that does not exist': ['sql.type(z.object({ nme: z.string() }))`\n  select\n    nme\n  from users`', [6, /column "nme" does not exist/]],
  'a table that does not exist': ['sql.unsafe`delete from nobody where id = ${id} and name = ${name}`', [4, /relation "nobody" does not exist/]],
  'a syntax error after a value': ['sql.unsafe`\n  delete from users where id = ${id} and name = ${name}\n  an x`', [6, /syntax error at or near "an"/]],
  'two statements in one': ['sql.unsafe`delete from users; delete from roles`', [4, /cannot insert multiple commands/]],
  'a type that does not fit': ['sql.type(z.object({ created_at: z.date() }))`select created_at from users`', [4, /"created_at" is timestamptz, which arrives as string; the schema says Date/]],
  'a number that arrives as text': ['sql.type(z.object({ cost: z.number().nullable() }))`select cost_usd as cost from agent_sessions`', [4, /"cost" is numeric, which arrives as string/]],
  'an array of another type': ['sql.type(z.object({ scopes: z.array(z.number()) }))`select scopes from api_tokens`', [4, /"scopes" is _text, which arrives as string\[\]; the schema says number\[\]/]],
  'a value where an array is': ['sql.type(z.object({ scopes: z.string() }))`select scopes from api_tokens`', [4, /arrives as string\[\]; the schema says string/]],
  'a column that may be null': ['sql.type(z.object({ display_name: z.string() }))`select display_name from users`', [4, /"display_name" may be null; the schema says string/]],
  'an optional where null comes': ['sql.type(z.object({ display_name: z.string().optional() }))`select display_name from users`', [4, /"display_name" may be null/]],
  'a column that is never null': ['sql.type(z.object({ name: z.string().nullable() }))`select name from users`', [4, /"name" is never null; the schema says string \| null/]],
  'a count that is never null': ['sql.type(z.object({ n: z.number().nullable() }))`select count(*) as n from users`', [4, /"n" is never null/]],
  'the far side of an outer join': ['sql.type(z.object({ name: z.string(), token: z.string() }))`\n  select u.name, t.name as token from users u left join api_tokens t on t.user_id = u.id`', [4, /"token" may be null/]],
  'a column the schema does not have': ['sql.type(z.object({ id: z.uuid() }))`select id, name from users`', [4, /gives the column "name", which the schema does not have/]],
  'a column the statement does not give': ['sql.type(User)`select id, name from users`', [4, /the schema has "displayName", which is not among the columns: id, name/]],
  'a column twice': ['sql.type(z.object({ id: z.uuid() }))`select u.id, r.id from users u, roles r`', [4, /the column "id" twice/]],
  'a schema for no rows': ['sql.type(z.object({ id: z.uuid() }))`delete from users`', [4, /the schema has "id", and the statement gives no rows/]],
  'rows without a schema': ['sql.unsafe`select id from users`', [4, /gives rows that nothing checks/]],
  'a schema of anything': ['sql.type(z.any())`select id from users`', [4, /the schema says nothing of its rows/]],
  'a value of the wrong kind': ['sql.unsafe`delete from users where id = ${id} and is_active = ${count}`', [4, /the value \$2 is bool; the code gives number/]],
  'text where bytes go': ['sql.unsafe`update secrets set encrypted_value = ${name}`', [4, /the value \$1 is bytea; the code gives string/]],
  'a fragment from a parameter': ['export const f = (part: ReturnType<typeof sql.fragment>) =>\n  sql.unsafe`delete from users ${part}`', [5, /what part puts into the SQL cannot be seen from here/]],
  'a name from a parameter': ['export const f = (table: string) => sql.unsafe`delete from ${sql.identifier([table])}`', [4, /what table puts into the SQL cannot be seen/]],
  'a function that calls itself': ['const f = (value: string): ReturnType<typeof sql.fragment> => sql.fragment`${f(value)}`\nsql.unsafe`delete from users ${f(name)}`', [4, /what f\(value\) puts/]],
  'a let': ['let part = sql.fragment`a`\npart = sql.fragment`b`\nsql.unsafe`delete from users ${part}`', [6, /what part puts/]],
  'one branch of two': ['sql.type(User)`select id, name, display_name as "displayName" from users order by ${flag ? sql.fragment`name` : sql.fragment`nme`}`', [4, /column "nme" does not exist/]],
  'a fault in a function elsewhere': ['const where = (value: string) =>\n  sql.fragment`where nme = ${value}`\nsql.unsafe`delete from users ${where(name)}`', [5, /column "nme" does not exist/]],
  'a name out of several': ['declare const table: "users" | "user"\nsql.unsafe`delete from public.${sql.identifier([table])}`', [5, /relation "public.user" does not exist/]],
  'an insert that leaves out a column': ['sql.unsafe`\n  insert into users (name, email, password_hash) values (${name}, ${name}, \'\')`', [4, /the insert into users leaves out display_name, which has no default/]],
  'an insert in a with query that leaves out a column': [
    'sql.type(z.object({ id: z.uuid() }))`\n  with made as (insert into public.audit_log as a (actor_id, actor_name, action, resource, resource_id) select id, name, name, name, id from users returning id)\n  select id from made`',
    [4, /leaves out project_id, detail, ip_addr/]
  ],
  'an insert that names no columns': ['sql.unsafe`insert into role_permissions values (${id}, ${id})`', [4, /leaves out role_id, permission_id/]],
  'more columns than values': ['sql.unsafe`\n  insert into roles (name, description) values (${name})`', [5, /more target columns than expressions/]],
  'more values than columns': ['sql.unsafe`\n  insert into roles (name, description) values (${name}, ${name}, true)`', [5, /more expressions than target columns/]],
  'a core table without its schema': ['sql.unsafe`\n  delete from roles`', [5, /relation "roles" does not exist/]],
  'no reason to leave it unchecked': ['sql.unsafe`delete from users -- unchecked:`', [4, /is left unchecked without a reason/]]
}

const right = `
const columns = sql.fragment\`id, name, display_name as "displayName"\`
const named = (value: string) => sql.fragment\`name = \${value}\`
const tables = { users: sql.identifier(['public', 'users']) } as const
sql.type(User)\`select \${columns} from \${tables.users} where \${named(name)} and created_at > \${new Date(0).toISOString()} limit \${count}\`
sql.type(User)\`select \${columns} from users where name = any(\${sql.array(many, 'text')})\`
sql.type(User)\`select \${columns} from users where \${sql.and([sql.fragment\`is_active = \${flag}\`, flag && named(name), flag ? named(id) : undefined])}\`
sql.type(User)\`select \${columns} from users where id in (\${sql.join(many, sql.fragment\`, \`)}) \${flag ? sql.fragment\`for update\` : sql.fragment\`\`}\`
sql.unsafe\`insert into roles (name, description) select * from \${sql.unnest([[name, name]], ['text', 'text'])}\`
sql.unsafe\`insert into roles (name, description) values \${sql.join(many.map(one => sql.fragment\`(\${one}, \${null})\`), sql.fragment\`, \`)}\`
sql.unsafe\`insert into users (name, display_name, email, password_hash) values (\${name}, null, \${flag ? name : null}, '')\`
sql.unsafe\`update secrets set encrypted_value = \${bytes}, version = version + 1, created_by = \${sql.uuid(id)} where updated_at < \${sql.timestamp(new Date())}\`
sql.type(z.object({}))\`update audit_log set detail = \${flag ? null : sql.jsonb({ a: 1 })}\`
sql.type(z.object({ detail: z.object({ a: z.number() }).nullable(), ip: z.string().nullable() }))\`select detail, ip_addr as ip from audit_log\`
sql.type(z.object({ value: z.instanceof(Buffer), at: z.iso.datetime(), n: z.int(), is: z.boolean(), last: z.string().nullable() }))\`
  select s.encrypted_value as value, s.created_at as at, count(*) as n, exists (select from users) as is, max(u.name) as last
  from secrets s left join users u on u.id = s.created_by group by s.id\`
sql.type(z.object({ kind: z.enum(['a', 'b']), brand: z.string().brand('Name'), date: z.coerce.date(), day: z.string().transform(Number) }))\`
  select visibility as kind, name as brand, created_at as date, default_branch as day from projects\`
sql.unsafe\`delete from \${sql.identifier([many[0] ?? ''])} -- unchecked: the table is the caller's\`
sql.type(z.object({ name: z.string() }))\`select t.name from users u right join api_tokens t on t.user_id = u.id and u.is_active\`
const mine = { unsafe: String.raw }
mine.unsafe\`not SQL at all\`
`

test('the check of SQL', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-check-sql-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const sources = { ...Object.fromEntries(Object.entries(faults).map(([fact, [code]]) => [fact, code])), right }
  const files = Object.entries(sources).map(([name, code]) => {
    const file = join(folder, `${name.replaceAll(' ', '-')}.ts`)
    writeFileSync(file, head + code)
    return file
  })
  const client = await connectClient({ url: await createDatabase(t, { migrated: 'core' }), applicationName: 'test', searchPath: 'public', connectTimeoutMs: 20_000 })
  const { count, findings } = await checkSql(client, files, {
    target: ts.ScriptTarget.ES2024, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, strict: true,
    allowImportingTsExtensions: true, noEmit: true, skipLibCheck: true, types: ['node'], typeRoots: [join(root, 'node_modules/@types')],
    paths: { bulkhead: [join(root, 'core/contract/index.ts')] }
  }, file => basename(file, '.ts') === 'a-core-table-without-its-schema' ? hostSearchPath : pluginSearchPath).finally(() => client.end())
  const findingsIn = (name: string): typeof findings => findings.filter(({ file }) => basename(file, '.ts') === name.replaceAll(' ', '-'))

  for (const [fact, [, ...said]] of Object.entries(faults)) {
    await t.test(`finds ${fact}`, () => {
      const found = findingsIn(fact)
      assert.deepEqual(found.map(({ line }) => line), said.map(([line]) => line), JSON.stringify(found))
      said.forEach(([, words], index) => assert.match(found[index]?.message ?? '', words))
    })
  }
  await t.test('looks at every statement, and leaves alone what is right', () => {
    assert.deepEqual(findingsIn('right'), [])
    const written = Object.values(sources).flatMap(code => code.match(/\bsql\.(type\(|unsafe`)/g) ?? []).length
    const unclear = findings.filter(({ message }) => message.includes('cannot be seen')).length
    assert.equal(count, written - unclear - leftUnchecked)
  })
})
