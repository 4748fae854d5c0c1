// Replaces `${{ secrets.NAME }}` in a text with values, for the plugins that run pipelines, agents and deployments.

import { sql, ValidationFailed, z, type Encryption, type FieldError, type Postgres } from 'bulkhead'
import { scopes, type Use } from './form.ts'
import { changesProcess } from './process-name.ts'
import { findProject } from './project.ts'
import { openValue } from './sealed-value.ts'

/**
 * The limits, in characters, of the text and of the result. Without the second, a few references to large secrets could
 * produce a huge text.
 */
const textLengthMax = 1_048_576
const resultLengthMax = 8 * 1_048_576
const shownMax = 80
const uses: readonly string[] = scopes.filter(scope => scope !== 'all')

const Found = z.object({
  id: z.uuid(), projectId: z.uuid().nullable(), name: z.string(), scope: z.enum(scopes), version: z.int(), envelope: z.instanceof(Buffer),
  isDeleted: z.boolean()
})
type Found = z.output<typeof Found>

interface Reference {
  readonly start: number
  readonly end: number
  readonly name: string
}

/**
 * Replaces the references with their values. A project's secret takes precedence over the platform's of the same name;
 * a deleted secret counts as none.
 *
 * Rejects with `ValidationFailed`, which names every reference that is unknown, deleted, for another use or malformed.
 * Such a reference never stays in the result; other expressions stay as they are. A value is inserted as it is (bytes
 * as base64) and is not searched for references.
 */
export async function resolveSecrets (
  { postgres, encryption }: { postgres: Postgres, encryption: Encryption }, projectId: string | null, use: Use, text: string
): Promise<string> {
  if (!uses.includes(use)) throw new TypeError(`"${use}" is no use of a secret: it is one of ${uses.join(', ')}`)
  if (text.length > textLengthMax) throw new ValidationFailed([{ path: 'text', message: `It must have at most ${textLengthMax} characters, and has ${text.length}.` }])
  const { references, problems } = readReferences(text)
  if (projectId !== null) await findProject(postgres, projectId)
  const names = [...new Set(references.map(({ name }) => name))]
  const found = names.length === 0 ? [] : await findByName(postgres, projectId, names)

  const values = new Map<string, string>()
  for (const name of names) {
    const candidates = found.filter(row => row.name === name)
    const live = candidates.filter(({ isDeleted }) => !isDeleted)
    const row = live.find(row => row.projectId !== null) ?? live[0]
    const why = whyNot(row, { name, use, wasDeleted: candidates.length > 0 })
    if (why !== undefined) problems.push({ path: 'text', message: why })
    else if (row !== undefined) values.set(name, openValue(encryption, row.envelope, row).value)
  }
  if (problems.length > 0) throw new ValidationFailed(problems, { message: problems.map(({ message }) => message).join(' ') })

  const parts: string[] = []
  let at = 0
  let length = 0
  for (const { start, end, name } of references) {
    const value = values.get(name) ?? ''
    parts.push(text.slice(at, start), value)
    at = end
    length += value.length
    if (length > resultLengthMax) throw new ValidationFailed([{ path: 'text', message: `With its secrets it would have more than ${resultLengthMax} characters.` }])
  }
  return parts.join('') + text.slice(at)
}

function whyNot (row: Found | undefined, { name, use, wasDeleted }: { name: string, use: Use, wasDeleted: boolean }): string | undefined {
  if (use === 'agent' && changesProcess(name)) return `The secret "${name}" changes how a process runs, and is given to no agent.`
  if (row === undefined) return wasDeleted ? `The secret "${name}" was deleted.` : `There is no secret "${name}".`
  if (row.scope !== 'all' && row.scope !== use) return `The secret "${name}" has the scope "${row.scope}" and is not for "${use}".`
  return undefined
}

const findByName = (postgres: Postgres, projectId: string | null, names: readonly string[]): Promise<readonly Found[]> => postgres.any(sql.type(Found)`
  select s.id, s.project_id as "projectId", s.name, s.scope, s.version, s.encrypted_value as envelope, d.secret_id is not null as "isDeleted"
  from public.secrets s left join secrets.deletion d on d.secret_id = s.id
  where (s.project_id is null or s.project_id = ${projectId}) and s.name = any(${sql.array(names, 'text')})
`)

/** Reads the references of a text. Any `${{ … }}` that mentions secrets is a reference or a problem. */
export function readReferences (text: string): { references: Reference[], problems: FieldError[] } {
  const references: Reference[] = []
  const problems: FieldError[] = []
  for (let start = text.indexOf('${{'); start !== -1;) {
    const close = text.indexOf('}}', start + 3)
    const end = close === -1 ? text.length : close + 2
    const inner = text.slice(start + 3, close === -1 ? text.length : close)
    const [, name] = /^\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*$/.exec(inner) ?? []
    if (name !== undefined && close !== -1) references.push({ start, end, name })
    else if (/(?<![\w.-])secrets\b/i.test(inner)) {
      const shown = text.slice(start, Math.min(end, start + shownMax)).replaceAll(/\s+/g, ' ')
      problems.push({ path: 'text', message: `"${shown}" is no reference to a secret: write \${{ secrets.NAME }}, with nothing else in it.` })
    }
    start = text.indexOf('${{', end)
  }
  return { references, problems }
}
