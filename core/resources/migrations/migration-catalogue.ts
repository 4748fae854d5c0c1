// Reads from the system catalogues what lies outside one schema, and what a plugin's migration may therefore not
// change.

import type { Client } from '../postgres/postgres-client.ts'
import { ask } from './migration-session.ts'

/** One row of a system catalogue. */
export interface Entry {
  readonly catalogue: string
  readonly kind: string
  readonly title: string
  /** Digest of the row; null for an object of Postgres itself. */
  readonly digest: string | null
  /** The transaction that wrote the row; null where the catalogue does not show it. */
  readonly xmin: string | null
}
/** Entries by catalogue and key. */
export type Catalogue = ReadonlyMap<string, Entry>

interface Source {
  readonly catalogue: string
  readonly kind: string
  /** SQL expression on the row `t`, as are `schema`, `key`, `where` and `object`. */
  readonly title: string
  /** The OID of the schema that the row belongs to; null when it belongs to none. */
  readonly schema?: string
  readonly key?: string
  readonly where?: string
  /** The OID of the object that the row is part of. Objects of Postgres itself are only counted. */
  readonly object?: string
  /** Columns that change by themselves. */
  readonly without?: readonly string[]
}

const schemaOfRelation = (column: string): string => `(select relnamespace from pg_class where oid = t.${column})`
const schemaOfType = (column: string): string => `(select typnamespace from pg_type where oid = t.${column})`
const named = (column: string, schema: string): string => `format('%s.%I', t.${schema}::regnamespace, t.${column})`
const of = (column: string, relation: string): string => `format('%I of %s', t.${column}, t.${relation}::regclass)`

const sources: readonly Source[] = [
  { catalogue: 'pg_namespace', kind: 'schema', title: 't.nspname', schema: 't.oid' },
  {
    catalogue: 'pg_class', kind: 'relation', title: 't.oid::regclass', schema: 't.relnamespace',
    // A foreign key from the plugin's own table sets `relhastriggers`, which is permitted.
    without: ['relpages', 'reltuples', 'relallvisible', 'relallfrozen', 'relfrozenxid', 'relminmxid', 'relhastriggers']
  },
  { catalogue: 'pg_attribute', object: 't.attrelid', kind: 'column', title: of('attname', 'attrelid'), schema: schemaOfRelation('attrelid'), key: `t.attrelid || '.' || t.attnum` },
  { catalogue: 'pg_attrdef', object: 't.adrelid', kind: 'default', title: `t.adrelid::regclass`, schema: schemaOfRelation('adrelid') },
  { catalogue: 'pg_constraint', kind: 'constraint', title: of('conname', 'conrelid'), schema: 't.connamespace' },
  { catalogue: 'pg_index', object: 't.indexrelid', kind: 'index', title: 't.indexrelid::regclass', schema: schemaOfRelation('indexrelid'), key: 't.indexrelid', without: ['indcheckxmin'] },
  {
    catalogue: 'pg_trigger', kind: 'trigger', title: of('tgname', 'tgrelid'), schema: schemaOfRelation('tgrelid'),
    // A foreign key creates two triggers on the table that it refers to.
    where: `not (t.tgisinternal and exists (select from pg_constraint k where k.oid = t.tgconstraint and k.connamespace = own.oid))`
  },
  { catalogue: 'pg_rewrite', kind: 'rule', title: of('rulename', 'ev_class'), schema: schemaOfRelation('ev_class') },
  { catalogue: 'pg_policy', kind: 'policy', title: of('polname', 'polrelid'), schema: schemaOfRelation('polrelid') },
  { catalogue: 'pg_inherits', object: 't.inhrelid', kind: 'inheritance', title: 't.inhparent::regclass', schema: schemaOfRelation('inhparent'), key: `t.inhrelid || '.' || t.inhparent` },
  { catalogue: 'pg_partitioned_table', object: 't.partrelid', kind: 'partitioned table', title: 't.partrelid::regclass', schema: schemaOfRelation('partrelid'), key: 't.partrelid' },
  { catalogue: 'pg_sequence', object: 't.seqrelid', kind: 'sequence', title: 't.seqrelid::regclass', schema: schemaOfRelation('seqrelid'), key: 't.seqrelid' },
  { catalogue: 'pg_statistic_ext', kind: 'statistics', title: named('stxname', 'stxnamespace'), schema: 't.stxnamespace' },
  { catalogue: 'pg_proc', kind: 'function', title: 't.oid::regprocedure', schema: 't.pronamespace' },
  { catalogue: 'pg_aggregate', object: 't.aggfnoid::oid', kind: 'aggregate', title: 't.aggfnoid', schema: '(select pronamespace from pg_proc where oid = t.aggfnoid)', key: 't.aggfnoid::oid' },
  { catalogue: 'pg_type', kind: 'type', title: named('typname', 'typnamespace'), schema: 't.typnamespace' },
  { catalogue: 'pg_enum', object: 't.enumtypid', kind: 'enum value', title: `format('%L of %s', t.enumlabel, t.enumtypid::regtype)`, schema: schemaOfType('enumtypid') },
  { catalogue: 'pg_range', object: 't.rngtypid', kind: 'range', title: 't.rngtypid::regtype', schema: schemaOfType('rngtypid'), key: 't.rngtypid' },
  { catalogue: 'pg_cast', kind: 'cast', title: `format('%s as %s', t.castsource::regtype, t.casttarget::regtype)`, where: `not coalesce(own.oid in (${schemaOfType('castsource')}, ${schemaOfType('casttarget')}), false)` },
  { catalogue: 'pg_operator', kind: 'operator', title: named('oprname', 'oprnamespace'), schema: 't.oprnamespace' },
  { catalogue: 'pg_opclass', kind: 'operator class', title: named('opcname', 'opcnamespace'), schema: 't.opcnamespace' },
  { catalogue: 'pg_opfamily', kind: 'operator family', title: named('opfname', 'opfnamespace'), schema: 't.opfnamespace' },
  { catalogue: 'pg_amop', kind: 'operator of a family', title: 't.amopopr::regoper', schema: '(select opfnamespace from pg_opfamily where oid = t.amopfamily)' },
  { catalogue: 'pg_amproc', kind: 'function of a family', title: 't.amproc', schema: '(select opfnamespace from pg_opfamily where oid = t.amprocfamily)' },
  { catalogue: 'pg_collation', kind: 'collation', title: named('collname', 'collnamespace'), schema: 't.collnamespace' },
  { catalogue: 'pg_conversion', kind: 'conversion', title: named('conname', 'connamespace'), schema: 't.connamespace' },
  { catalogue: 'pg_ts_config', kind: 'text search configuration', title: named('cfgname', 'cfgnamespace'), schema: 't.cfgnamespace' },
  { catalogue: 'pg_ts_config_map', object: 't.mapcfg', kind: 'text search mapping', title: 't.mapcfg::regconfig', schema: '(select cfgnamespace from pg_ts_config where oid = t.mapcfg)', key: `t.mapcfg || '.' || t.maptokentype || '.' || t.mapseqno` },
  { catalogue: 'pg_ts_dict', kind: 'text search dictionary', title: named('dictname', 'dictnamespace'), schema: 't.dictnamespace' },
  { catalogue: 'pg_ts_parser', kind: 'text search parser', title: named('prsname', 'prsnamespace'), schema: 't.prsnamespace' },
  { catalogue: 'pg_ts_template', kind: 'text search template', title: named('tmplname', 'tmplnamespace'), schema: 't.tmplnamespace' },
  { catalogue: 'pg_default_acl', kind: 'default privileges of', title: 't.defaclrole::regrole', schema: 'nullif(t.defaclnamespace, 0)' },
  {
    catalogue: 'pg_description', object: 't.objoid', kind: 'comment', title: 'pg_describe_object(t.classoid, t.objoid, t.objsubid)', key: `t.classoid || '.' || t.objoid || '.' || t.objsubid`,
    where: `t.classoid in ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_namespace'::regclass) and t.objoid > 16383`,
    schema: `case t.classoid when 'pg_class'::regclass then ${schemaOfRelation('objoid')} when 'pg_type'::regclass then ${schemaOfType('objoid')}
      when 'pg_proc'::regclass then (select pronamespace from pg_proc where oid = t.objoid) else t.objoid end`
  },
  { catalogue: 'pg_language', kind: 'language', title: 't.lanname' },
  { catalogue: 'pg_transform', kind: 'transform', title: 't.trftype::regtype' },
  { catalogue: 'pg_am', kind: 'access method', title: 't.amname' },
  { catalogue: 'pg_extension', kind: 'extension', title: 't.extname' },
  { catalogue: 'pg_foreign_data_wrapper', kind: 'foreign-data wrapper', title: 't.fdwname' },
  { catalogue: 'pg_foreign_server', kind: 'foreign server', title: 't.srvname' },
  { catalogue: 'pg_user_mapping', kind: 'user mapping', title: 't.umserver' },
  { catalogue: 'pg_event_trigger', kind: 'event trigger', title: 't.evtname' },
  { catalogue: 'pg_publication', kind: 'publication', title: 't.pubname' },
  { catalogue: 'pg_publication_rel', kind: 'table of a publication', title: 't.prrelid::regclass' },
  { catalogue: 'pg_publication_namespace', kind: 'schema of a publication', title: 't.pnnspid::regnamespace' },
  { catalogue: 'pg_largeobject_metadata', object: '16384', kind: 'large object', title: 't.oid' },
  { catalogue: 'pg_parameter_acl', kind: 'grant of a setting', title: 't.parname' },
  { catalogue: 'pg_db_role_setting', object: '16384', kind: 'settings of', title: `coalesce(nullif(t.setrole, 0)::regrole::text, 'the database')`, key: `t.setdatabase || '.' || t.setrole`, where: 't.setdatabase in (0, (select oid from pg_database where datname = current_database()))' },
  { catalogue: 'pg_database', kind: 'database', title: 't.datname', where: 't.datname = current_database()', without: ['datfrozenxid', 'datminmxid'] },
  { catalogue: 'pg_tablespace', kind: 'tablespace', title: 't.spcname' },
  { catalogue: 'pg_auth_members', object: 'greatest(t.roleid, t.member)', kind: 'membership', title: `format('%s in %s', t.member::regrole, t.roleid::regrole)`, key: `t.roleid || '.' || t.member || '.' || t.grantor` },
  // Only a superuser may read `pg_authid`. `pg_roles` is a view, so it does not show which transaction wrote a row.
  { catalogue: 'pg_authid', kind: 'role', title: 't.rolname' },
  { catalogue: 'pg_roles', kind: 'role', title: 't.rolname' }
]

/** Postgres gives lower OIDs to the objects that it ships with. */
const firstOwnOid = 16_384

/**
 * The column with the index's OID, in each catalogue that describes indexes. An index may belong to the schema's owner
 * although its table does not.
 */
const indexColumns: Readonly<Record<string, string>> = { pg_class: 't.oid', pg_attribute: 't.attrelid', pg_index: 't.indexrelid' }

/**
 * Reads all catalogues, except the rows of the schema itself, of temporary schemas, and of the schema for oversize
 * values (TOAST). `indexes` are names of plain indexes outside the schema that count as being in it. The search path
 * must be `pg_catalog`.
 */
export async function readCatalogue (client: Client, schema: string, indexes: readonly string[]): Promise<Catalogue> {
  const readable = new Set((await ask<{ name: string }>(client,
    `select name from unnest($1::text[]) as name where to_regclass(name) is not null and has_table_privilege(name, 'select')`, [sources.map(({ catalogue }) => catalogue)]
  )).map(({ name }) => name))
  const used = sources.filter(({ catalogue }) => readable.has(catalogue) && !(catalogue === 'pg_roles' && readable.has('pg_authid')))
  const rows = await ask<Entry & { key: string }>(client, `
    with own as (select (select oid from pg_namespace where nspname = $1) as oid),
      hidden as (select oid from pg_namespace where nspname ~ '^pg_(toast$|temp_|toast_temp_)'),
      owned as (select indexrelid from pg_index where indexrelid::regclass::text = any ($2) and indexprs is null and not indisunique)
    ${used.map(select).join('\n    union all ')}`, [schema, indexes])
  return new Map(rows.map(({ key, ...entry }) => [`${entry.catalogue} ${key}`, entry]))
}

/**
 * Builds the query for one catalogue. Rows of objects that Postgres ships with are read only when they were written
 * since the transaction began. One more row holds the number of these objects, so that a missing one is noticed.
 */
function select ({ catalogue, kind, title, schema, object = 't.oid', key = 't.oid', where, without }: Source): string {
  const index = indexColumns[catalogue]
  const conditions = [
    ...schema === undefined ? [] : ['(s.oid is null or (s.oid is distinct from own.oid and s.oid not in (select oid from hidden)))'],
    ...index === undefined ? [] : [`${index} not in (select indexrelid from owned)`],
    ...where === undefined ? [] : [where]
  ].map(condition => ` and ${condition}`).join('')
  const from = `from ${catalogue} t, own${schema === undefined ? '' : `, lateral (select ${schema} as oid) s`}`
  const text = without === undefined ? 't::text' : `(to_jsonb(t) - array[${without.map(column => `'${column}'`).join(', ')}])::text`
  const xmin = catalogue === 'pg_roles' ? 'null::xid' : 't.xmin'
  return `select '${catalogue}' as catalogue, (${key})::text as key, '${kind}' as kind, (${title})::text as title,
      case when ${object} >= ${firstOwnOid} then md5(${text}) end as digest, ${xmin}::text as xmin
    ${from} where (${object} >= ${firstOwnOid} or age(${xmin}) <= 0)${conditions}
    union all select '${catalogue}', 'all', '${kind}', 'of Postgres', count(*)::text, null
    from ${catalogue} t, own where ${object} < ${firstOwnOid}${where === undefined ? '' : ` and ${where}`}`
}
