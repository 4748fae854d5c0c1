// Parses and checks the manifest: what a plugin declares about itself before any of its code runs.

import { z, type Manifest, type ResourceName } from '../../contract/index.ts'
import { resourceNames } from '../../contract/plugin.ts'
import { findNearest, quoteList } from './nearest.ts'
import { isRange, isWithin } from './version.ts'

/** A problem and its fix, each as a sentence. */
export type Finding = readonly [what: string, mend: string]

export type ManifestReading = { manifest: Manifest, findings?: never } | { manifest?: never, findings: readonly Finding[] }

// An id names a Postgres schema, prefixes keys, queues and metrics, and is a unit next to the host's own units.
// JavaScript itself gives a meaning to the last three names.
const reservedIds = new Set([
  ...resourceNames, 'api', 'bulkhead', 'container', 'control', 'core', 'http', 'kernel', 'migrations', 'permissions', 'perms', 'pgboss', 'plugins',
  'probes', 'public', 'ready', 'tasks', 'watch',
  'constructor', 'prototype', 'then'
])
const reservedMounts = new Set(['api', 'healthz', 'openapi'])

const idForm = /^(?!.*--)[a-z][a-z0-9-]{0,47}(?<!-)$/
const idRule = '1 to 48 lower-case letters, digits and single dashes that begins with a letter and does not end with a dash'
const rangeExample = 'Write a range such as "^1.0.0".'
const shown = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)

function findingOfName (kind: 'id' | 'mount', name: string): Finding | undefined {
  const reserved = kind === 'id' ? reservedIds : reservedMounts
  if (reserved.has(name)) return [`The ${kind} "${name}" is reserved for the host.`, 'Choose another.']
  if (idForm.test(name)) return undefined
  const length = name.length > 48 ? `, ${name.length} characters,` : ''
  const like = name.normalize('NFKD').toLowerCase().replaceAll(/[^a-z0-9]+/g, '-').replace(/^[^a-z]+/, '').slice(0, 48).replace(/-$/, '')
  return [`The ${kind} ${shown(name)}${length} is not ${idRule}.`, idForm.test(like) && !reserved.has(like) ? `Write for example "${like}".` : 'Choose another.']
}

type Check<T> = (value: T) => Finding | undefined

/** Runs `check` on the value. A finding becomes an issue that contains both sentences. */
const holds = <T>(check: Check<T>) => (context: z.core.ParsePayload<T>): void => {
  const finding = check(context.value)
  if (finding !== undefined) context.issues.push({ code: 'custom', message: finding[0], params: { mend: finding[1] }, input: context.value })
}

const checkRange: Check<string> = range => isRange(range) ? undefined : [`${shown(range)} is not a semver range.`, rangeExample]
const Name = (kind: 'id' | 'mount'): z.ZodString => z.string().check(holds(name => findingOfName(kind, name)))
const Needs = z.record(z.string(), z.string().check(holds(checkRange))).default({})

const Resource = z.string().check(holds(name => {
  if (resourceNames.includes(name as ResourceName)) return undefined
  const nearest = findNearest(name, resourceNames)
  return [`${shown(name)} is not a resource.`, nearest === undefined ? `The resources are ${quoteList(resourceNames)}.` : `Write "${nearest}".`]
}))

const eventForm = /^[a-z0-9][a-z0-9.-]{0,99}$/
/** Accepts the same event names as `core/tasks`, so that every declared event can be published. */
const EventName = z.string().check(holds(name => eventForm.test(name) ? undefined
  : [`The event ${shown(name)} is not 1 to 100 lower-case letters, digits, dashes and dots, the first a letter or a digit.`, 'Write for example "invoice.paid".']))
const EventDeclared = z.strictObject({ description: z.string().trim().min(1).max(500) })

const Shape = z.strictObject({
  id: Name('id'),
  host: z.string().check(holds(checkRange)),
  requires: Needs,
  optional: Needs,
  mounts: z.array(Name('mount')).optional(),
  events: z.record(EventName, EventDeclared).default({}),
  resources: z.array(Resource).default([]),
  tolerates: z.array(Resource).default([]),
  readiness: z.enum(['required', 'degraded']).default('degraded'),
  example: z.boolean().default(false)
})
const keys = Object.keys(Shape.shape)

/** `value` is the `bulkhead` key of a `package.json`. */
export function readManifest (value: unknown, hostVersion: string): ManifestReading {
  const parsed = Shape.safeParse(value, { reportInput: true })
  if (!parsed.success) return { findings: parsed.error.issues.flatMap(findingsOf) }
  const { id, mounts = [id], resources, tolerates, ...rest } = parsed.data
  const manifest: Manifest = {
    ...rest,
    id,
    mounts: [...new Set(mounts)],
    resources: [...new Set(resources)] as ResourceName[],
    tolerates: [...new Set(tolerates)] as ResourceName[]
  }

  const findings: Finding[] = []
  if (!isWithin(hostVersion, manifest.host)) {
    findings.push([`It is made for host ${manifest.host}, and this host is ${hostVersion}.`, 'Take a version of the plugin made for this host, or widen "host" once you have tried it.'])
  }
  if (mounts[0] === id && reservedMounts.has(id)) findings.push([`The mount "${id}" is reserved for the host.`, 'Name another in "mounts".'])
  for (const name of manifest.tolerates) {
    if (!manifest.resources.includes(name)) findings.push([`"${name}" is in "tolerates" and not in "resources".`, 'Add it there, or take it out here.'])
  }
  for (const other of Object.keys(manifest.requires)) {
    if (Object.hasOwn(manifest.optional, other)) findings.push([`"${other}" is both in "requires" and in "optional".`, 'Take it out of one.'])
  }
  return findings.length > 0 ? { findings } : { manifest }
}

function findingsOf (issue: z.core.$ZodIssue): Finding[] {
  const at = issue.path.map((key, index) => typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`).join('')
  switch (issue.code) {
    case 'custom':
      return [[at === '' || at === 'id' ? issue.message : `In "${at}": ${issue.message}`, String(issue.params?.mend)]]
    // The key is the name of an event. Its own check has already found what is wrong with it.
    case 'invalid_key':
      return issue.issues.flatMap(inner => findingsOf({ ...inner, path: [] }))
    case 'unrecognized_keys':
      if (at !== '') return issue.keys.map(key => [`${shown(key)} is not a key of "${at}".`, 'Write { "description": "…" }.'])
      return issue.keys.map(key => {
        const nearest = findNearest(key, keys)
        return [`${shown(key)} is not a key of the manifest.`, nearest === undefined ? `The keys are ${quoteList(keys)}.` : `Write "${nearest}".`]
      })
    case 'invalid_value':
      return [[`"${at}" has another value than ${quoteList(issue.values.map(String))}.`, 'Write one of them.']]
    case 'invalid_type':
      if (at === '') return [['The key "bulkhead" does not hold an object.', 'Write at least { "id": …, "host": "^1.0.0" }.']]
      if (at === 'id' && issue.input === undefined) return [['The manifest has no "id".', 'Write "id": the name of the plugin.']]
      if (at === 'host' && issue.input === undefined) return [['The manifest has no "host".', 'Write "host": the range of host versions the plugin is made for, such as "^1.0.0".']]
      return [[`"${at}" is not ${issue.expected === 'array' ? 'a list' : issue.expected === 'record' ? 'an object' : `a ${issue.expected}`}.`, 'Write one.']]
    default:
      return [[`"${at}": ${issue.message}.`, 'Fix it.']]
  }
}
