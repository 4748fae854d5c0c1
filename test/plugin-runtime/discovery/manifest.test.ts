import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readManifest } from '../../../core/plugin-runtime/discovery/manifest.ts'

const problems = (value: unknown, hostVersion = '1.4.0'): string[] => (readManifest(value, hostVersion).findings ?? []).map(finding => finding.join(' '))
const sound = { id: 'invoices', host: '^1.0.0' }

test('an id and a host range are enough', () => {
  assert.deepEqual(readManifest(sound, '1.4.0').manifest, {
    id: 'invoices', host: '^1.0.0', requires: {}, optional: {}, mounts: ['invoices'], events: {}, resources: [], tolerates: [], readiness: 'degraded', example: false
  })
})

const rule = '1 to 48 lower-case letters, digits and single dashes that begins with a letter and does not end with a dash'
for (const [id, complaint] of [
  ['Invoices', `The id "Invoices" is not ${rule}. Write for example "invoices".`],
  ['../etc', `The id "../etc" is not ${rule}. Write for example "etc".`],
  ['..', `The id ".." is not ${rule}. Choose another.`],
  ['', `The id "" is not ${rule}. Choose another.`],
  ['a'.repeat(200), `The id "${'a'.repeat(60)}…", 200 characters, is not ${rule}. Write for example "${'a'.repeat(48)}".`],
  ['my_plugin', `The id "my_plugin" is not ${rule}. Write for example "my-plugin".`],
  ['a--b', `The id "a--b" is not ${rule}. Write for example "a-b".`],
  ['a-', `The id "a-" is not ${rule}. Write for example "a".`],
  ['1st', `The id "1st" is not ${rule}. Write for example "st".`],
  ['pg_catalog', `The id "pg_catalog" is not ${rule}. Write for example "pg-catalog".`],
  ['a\nb', `The id "a\\nb" is not ${rule}. Write for example "a-b".`],
  ['notes\n', `The id "notes\\n" is not ${rule}. Write for example "notes".`],
  ['public', 'The id "public" is reserved for the host. Choose another.'],
  ['constructor', 'The id "constructor" is reserved for the host. Choose another.'],
  ['postgres', 'The id "postgres" is reserved for the host. Choose another.']
] as const) {
  test(`an id may not be ${JSON.stringify(id.slice(0, 20))}`, () => {
    assert.deepEqual(problems({ ...sound, id }), [complaint])
  })
}

test('an unknown key is refused with the nearest known one', () => {
  assert.deepEqual(problems({ ...sound, resource: [], colour: 1, constructor: 1 }), [
    '"resource" is not a key of the manifest. Write "resources".',
    '"colour" is not a key of the manifest. The keys are "id", "host", "requires", "optional", "mounts", "events", "resources", "tolerates", "readiness", "example".',
    '"constructor" is not a key of the manifest. The keys are "id", "host", "requires", "optional", "mounts", "events", "resources", "tolerates", "readiness", "example".'
  ])
  assert.equal(problems(JSON.parse('{ "id": "a", "host": "*", "__proto__": {} }')).length, 1)
})

test('every key is checked, and everything that is wrong is said at once', () => {
  assert.deepEqual(problems({
    id: 7, requires: { mail: 'newest' }, optional: [], mounts: ['healthz', 'a/b'], resources: ['postgre', 'fax'], readiness: 'perhaps', example: 'yes'
  }), [
    '"id" is not a string. Write one.',
    'The manifest has no "host". Write "host": the range of host versions the plugin is made for, such as "^1.0.0".',
    'In "requires.mail": "newest" is not a semver range. Write a range such as "^1.0.0".',
    '"optional" is not an object. Write one.',
    'In "mounts[0]": The mount "healthz" is reserved for the host. Choose another.',
    `In "mounts[1]": The mount "a/b" is not ${rule}. Write for example "a-b".`,
    'In "resources[0]": "postgre" is not a resource. Write "postgres".',
    'In "resources[1]": "fax" is not a resource. The resources are "postgres", "valkey", "storage", "kubernetes", "access", "host", "encryption".',
    '"readiness" has another value than "required", "degraded". Write one of them.',
    '"example" is not a boolean. Write one.'
  ])
  for (const value of [null, [], 'notes', 3]) {
    assert.deepEqual(problems(value), ['The key "bulkhead" does not hold an object. Write at least { "id": …, "host": "^1.0.0" }.'])
  }
})

test('a plugin for another host is refused; a pre-release of the host counts as that version', () => {
  assert.match(problems({ ...sound, host: '^2.0.0' })[0] ?? '', /^It is made for host \^2\.0\.0, and this host is 1\.4\.0\./)
  assert.deepEqual(problems(sound, '1.5.0-rc.1'), [])
  assert.equal(problems(sound, '2.0.0-rc.1').length, 1)
})

test('a plugin cannot be both required and optional', () => {
  assert.deepEqual(problems({ ...sound, requires: { mail: '*' }, optional: { mail: '*' } }), ['"mail" is both in "requires" and in "optional". Take it out of one.'])
})
