// Reads the parts of a database schema, as lines in the form of schema/*.tsv.

import pg from 'pg'

const queries = {
  columns: `
    select c.relname, a.attname, replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz'),
      case when a.attnotnull then 'not null' else 'null' end, coalesce(pg_get_expr(d.adbin, d.adrelid), '')
    from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
    order by c.relname collate "C", a.attnum`,
  // The files say nothing of NULLS NOT DISTINCT; a test of its own does. Since PostgreSQL 18 not-null is a constraint too; it is with the columns.
  constraints: `
    select c.relname, case t.contype when 'c' then 'check' when 'f' then 'foreign key' when 'p' then 'primary key' when 'u' then 'unique'
      else t.contype::text end, replace(pg_get_constraintdef(t.oid), 'UNIQUE NULLS NOT DISTINCT', 'UNIQUE')
    from pg_constraint t join pg_class c on c.oid = t.conrelid
    where c.relnamespace = 'public'::regnamespace and t.contype <> 'n'`,
  indexes: `
    select c.relname, case when i.indisunique then 'UNIQUE ' else '' end || substring(pg_get_indexdef(i.indexrelid) from 'USING .*')
    from pg_index i join pg_class c on c.oid = i.indrelid
    where c.relnamespace = 'public'::regnamespace and not exists (select from pg_constraint t where t.conindid = i.indexrelid and t.contype in ('p', 'u', 'x'))`,
  triggers: `
    select c.relname, pg_get_triggerdef(t.oid, true)
    from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where c.relnamespace = 'public'::regnamespace and not t.tgisinternal`,
  others: `
    select 'relation', relname from pg_class where relnamespace = 'public'::regnamespace and relkind not in ('r', 'p', 'i', 'I', 't')
    union all select 'function', proname from pg_proc where pronamespace = 'public'::regnamespace
    union all select 'type', typname from pg_type where typnamespace = 'public'::regnamespace and typtype not in ('c', 'b')`
}

export const parts = ['columns', 'constraints', 'indexes', 'triggers'] as const
export type Catalogue = Record<keyof typeof queries, string[]>

export async function readCatalogue (url: string, schema = 'public'): Promise<Catalogue> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const catalogue: Partial<Catalogue> = {}
    for (const [part, text] of Object.entries(queries)) {
      const { rows } = await client.query<string[]>({ text: text.replaceAll("'public'", `'${schema}'`), rowMode: 'array' })
      const lines = rows.map(row => row.join('\t'))
      // Only columns have an order that anyone sees.
      catalogue[part as keyof Catalogue] = part === 'columns' ? lines : lines.sort()
    }
    return catalogue as Catalogue
  } finally {
    await client.end()
  }
}
