// What the fuzz puts into each field of each route: values that a schema may take and the database, or the code behind it, may not.

export interface FuzzValue {
  /** For the message of a failure. */
  readonly name: string
  /** As it stands in a JSON body. */
  readonly json: string
  /** Percent-encoded, as it stands in a path or a query; undefined for what only a body can say. */
  readonly encoded?: string
  /** Instead of `name=value`: what stands in a query for the field of this name. */
  readonly query?: (field: string) => string
}

const uuid = '0192f0c1-2a3b-7c4d-8e5f-60718293a4b5'
/** Longer than what a request line may hold is for bodies only. */
const encodedMax = 6_000

const dates = [
  '2030-01-01T00:00:00+16:00', '2030-01-01T00:00:00-16:00', '2030-01-01T00:00:00+15:59', '2030-01-01T00:00:00-15:59', '2030-01-01T00:00:00+23:59',
  '2030-01-01T00:00:00-23:59', '2030-01-01T00:00:00+24:00', '2030-01-01T00:00:00+00:60', '2030-01-01T00:00:00-00:00', '2030-01-01T00:00:00+14:00',
  '9999-12-31T23:59:59-15:00', '9999-12-31T23:59:59Z', '9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.9999999Z', '9999-12-31T23:59:59-00:01',
  '+010000-01-01T00:00:00Z', '10000-01-01T00:00:00Z', '294276-12-31T23:59:59Z', '294277-01-01T00:00:00Z', '+275760-09-13T00:00:00.001Z',
  '0001-01-01T00:00:00Z', '0001-01-01T00:00:00+00:01', '0001-01-01T00:00:00+15:00', '0000-01-01T00:00:00Z', '0000-12-31T23:59:59-15:00',
  '-000001-01-01T00:00:00Z', '4714-11-24 BC', '0099-12-31T00:00:00Z', '1969-12-31T23:59:59Z', '2016-12-31T23:59:60Z', '2016-12-31T24:00:00Z',
  '2030-02-29T00:00:00Z', '2028-02-29T00:00:00Z', '1900-02-29T00:00:00Z', '2030-13-01T00:00:00Z', '2030-01-32T00:00:00Z', '2030-01-01T00:00Z',
  '2030-01-01', '2030-01-01 00:00:00', '2030-01-01T00:00:00', '2030-01-01t00:00:00z', '2030-01-01T00:00:00.123456789123456789Z', '2030-W01-1', '20300101T000000Z',
  '2030-01-01T00:00:00.Z', 'infinity', '-infinity', 'epoch', 'now', 'today', 'allballs', '٢٠٣٠-01-01T00:00:00Z'
]

const characters = [
  '\0', 'a\0b', '\0'.repeat(50), '\ud800', '\udc00', 'a\ud83d', '\ude00a', '\udc00\ud800', '\u0001', '\u001f', '\u007f', '\u0085', '\u009f', '\ufffe', '\uffff',
  '\u{10ffff}', '\u202e', 'a\u202eb', 'a\u202ab', '\u2066a', 'a\u2069', '\u2066a\u2069', '\u2067\u2068a\u2069\u2069', '\u200f', 'a\u200fb', '\u200e', '\u200da\u200c', '\u200b',
  '\u00ad', '\u034f', '\u115f', '\u3164', '\u2800', '\u180e', '\ufeff', '\ufeffa', '\u2028', '\u2029', 'a\u2028b', '\ufe0f', '\u{e0001}', '\u{e0100}', '\u{1d173}', '\u00a0', '\u3000', ' ', '  ',
  '\t', '\n', '\r\n', 'a\nb', ' a ', '', 'a', 'é', 'e\u0301', 'İ', 'ı', 'ẞ', 'ß', 'ﬁ', 'Å', 'K', 'Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞', '👩‍👩‍👧‍👦', '🇨🇭', '\u{1f600}', '漢字', 'العربية', '\x1b[31m'
]

const patterns = [
  '%', '_', '%%%', '\\', '\\\\', 'a\\', '%\\', '\'', '"', '`', '\'; drop table users; --', '1 or 1=1', '$1', '$$', '${jndi:x}', '{{7*7}}', '*', '**', '?', '[', '[a-', '(', '(a+)+$', '^', '$', '.', '..', '...',
  '../../etc/passwd', '/', '//', 'a/b', 'a//b', '.a', 'a.', 'a..b', '-', '--', '-a', '~', '~deleted-x', '@', '@{', 'HEAD', 'a.lock', 'refs/heads/a', '$.a[*] ? (@ > 1)', '{"a":', '[]', '{}', 'null', 'undefined', 'true', 'NaN', 'Infinity',
  '__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '<script>alert(1)</script>', '&amp;', '%00', '%c0%80', '\\u0000', '\\x00', '\r\nSet-Cookie: a=b', 'a,b', 'a;b', 'a=b', 'a&b', 'a+b', '+', '#'
]

const uuids = [
  uuid, uuid.toUpperCase(), `{${uuid}}`, uuid.replaceAll('-', ''), `urn:uuid:${uuid}`, `${uuid} `, ` ${uuid}`, `${uuid}\n`, `${uuid}0`, uuid.slice(1), '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff', '0192f0c1-2a3b-0c4d-8e5f-60718293a4b5', '0192f0c1-2a3b-7c4d-0e5f-60718293a4b5', '0192f0c12a3b-7c4d-8e5f-6071-8293a4b5'
]

const names = [
  'admin', 'ADMIN', 'Admin', 'ordinary', 'ORDINARY@example.org', 'a@b', 'a@b.c', '@', 'a@', '@b', 'a@b@c', '"a b"@c', 'a\u202e@b', 'ä@b.example', 'http://a', 'https://a.example/', 'https://a:b@c/', 'https://[::1]/', 'https://[', 'http://a:99999/',
  'https://xn--/', 'https://a.example/\u0000', 'https://a.example/\ud800', 'javascript:alert(1)', 'file:///etc/passwd', 'HTTP://A', 'https://\u202ea.example/', 'project:read', 'nothing:at-all', 'issue.assigned', '*', 'notes/count', 'notes', 'text', 'base64', 'all'
]

/** Well mixed, so that the database cannot compress it into an index. */
const mixed = (length: number): string => {
  let state = 1
  return Array.from({ length }, () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 >>> 0
    return String.fromCharCode(97 + state % 26)
  }).join('')
}
const cursor = (key: unknown): string => Buffer.from(JSON.stringify(key)).toString('base64url')
const cursors = [
  0, -1, 2_147_483_648, 9_007_199_254_740_991, 1e300, 1.5, 'a', null, [], {}, [0, uuid], [9_007_199_254_740_991, uuid], [-9_007_199_254_740_991, uuid], [1e300, uuid], [0, 'a'], [0, '\0'], [0], [[0, uuid]]
].map(cursor)

const lengths = [48, 49, 64, 65, 100, 101, 128, 129, 200, 201, 254, 255, 256, 500, 501, 1_024, 1_025, 2_000, 2_001, 10_001, 65_537, 100_001]
const long = [...lengths.map(length => 'a'.repeat(length)), mixed(9_000), '😀'.repeat(128), '😀'.repeat(50_000), '\u0301'.repeat(500), ' '.repeat(1_000), '\\'.repeat(1_000), '%'.repeat(300), 'a'.repeat(1_000_000)]

const numbers = [
  '0', '-0', '1', '-1', '1.5', '0.1', '1e400', '-1e400', '1e-400', '1e308', '2147483647', '2147483648', '-2147483648', '-2147483649', '4294967296', '9007199254740991', '9007199254740992', '9007199254740993',
  '9223372036854775807', '9223372036854775808', '-9223372036854775809', '1e21', '123456789012345678901234567890', '1e1', '100', '101', '1000', '1001', '1000000', '1000001', '365', '366'
]
const numbersOfText = ['0x10', '0b1', '0o7', '1_000', '１２', '١', '1e5', '+1', '1 ', ' 1', '1,5', '٠', '-', '--1', '1;', '00', '007', '1n']

const structures = [
  'true', 'false', 'null', '[]', '{}', '[null]', '[[]]', '[[[[[[[[]]]]]]]]', '{"a":1}', '{"$ne":null}', '{"toString":1}', '{"length":100}', '{"then":1}', '{"0":"a"}', '["a"]', '["a","a"]', '["a","A"]', '[1]', '[{}]', '[true]', '{"constructor":{"prototype":1}}',
  '{"toJSON":1}', '["\\u0000"]', '["\\ud800"]', '{"\\u0000":1}', '{"\\ud800":1}', '{"a":{"b":{"c":{"d":{"e":{}}}}}}', '["project:read","\\u0000"]', '["push"]', '["push","push"]',
  JSON.stringify(Array.from({ length: 49 }, (_, at) => `label-${at}`)), JSON.stringify(Array.from({ length: 51 }, (_, at) => `label-${at}`)), JSON.stringify(Array.from({ length: 1_001 }, () => 'project:read')),
  JSON.stringify(Array.from({ length: 5_000 }, (_, at) => at)), `${'['.repeat(500)}${']'.repeat(500)}`, JSON.stringify(Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`k${at}`, at])))
]

const shown = (text: string): string => text.length > 60 ? `${JSON.stringify(text.slice(0, 30))}… of ${text.length}` : JSON.stringify(text)

function ofText (text: string): FuzzValue {
  const value = { name: shown(text), json: JSON.stringify(text) }
  // Half a surrogate pair has no UTF-8: the bytes that some programs send for it.
  const encoded = Array.from(text, character => /^\p{Cs}$/u.test(character) ? '%ED%A0%80' : encodeURIComponent(character)).join('')
  return encoded.length > encodedMax ? value : { ...value, encoded }
}

const onlyInQueries: FuzzValue[] = [
  ['given twice', (field: string) => `${field}=1&${field}=2`],
  ['given fifty times', (field: string) => Array.from({ length: 50 }, () => `${field}=a`).join('&')],
  ['as an array of PHP', (field: string) => `${field}[]=1`],
  ['as an object of PHP', (field: string) => `${field}[a]=1`],
  ['without a value', (field: string) => field],
  ['with a broken escape', (field: string) => `${field}=%`],
  ['with half an escape', (field: string) => `${field}=%E0%A4%A`],
  ['with bytes that are no UTF-8', (field: string) => `${field}=%ff%fe`],
  ['with a long NUL', (field: string) => `${field}=%C0%80`],
  ['with a NUL behind the name', (field: string) => `${field}%00=1`],
  ['beside the prototype', (field: string) => `${field}=1&__proto__=2&constructor=3`]
].map(([name, query]) => ({ name: name as string, json: '"a"', query: query as (field: string) => string }))

export const fuzzValues: readonly FuzzValue[] = [
  ...[...new Set([...dates, ...characters, ...patterns, ...uuids, ...names, ...cursors, ...long, ...numbersOfText])].map(ofText),
  ...numbers.map(text => ({ name: text, json: text, encoded: text })),
  ...structures.map(text => ({ name: shown(text), json: text, ...text.length < 200 && { encoded: encodeURIComponent(text) } })),
  ...onlyInQueries
]
