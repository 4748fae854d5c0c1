// Defines the strict formats of settings: which text or value is valid, how it is parsed, and how messages describe it.

import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { withOneHost } from './database-url.ts'

interface Format<Kept, Read = Kept> {
  /** Completes the sentence "it must be …". */
  readonly wants: string
  /** Parses a text from the environment; returns undefined when the text is invalid. */
  readonly parse: (text: string) => Kept | undefined
  readonly fits: (value: unknown) => value is Kept
  /**
   * Converts the value for the code, when the code does not get the value itself. Relative paths are relative to
   * `root`.
   */
  readonly read?: (value: Kept, root: string) => Read
}

const text = (wants: string, matches: (value: string) => boolean): Format<string> => ({
  wants,
  parse: text => text,
  fits: (value): value is string => typeof value === 'string' && matches(value)
})

const whole = (wants: string, least: number, most = Number.MAX_SAFE_INTEGER): Format<number> => ({
  wants,
  parse: text => /^-?\d{1,16}$/.test(text) ? Number(text) : undefined,
  fits: (value): value is number => Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most
})

const list = (wants: string, separator: string, matches: (item: string) => boolean): Format<string[]> => ({
  wants,
  parse: text => text.split(separator).map(item => item.trim()).filter(item => item !== ''),
  fits: (value): value is string[] => Array.isArray(value) && value.every(item => typeof item === 'string' && matches(item))
})

const isUrl = (...schemes: string[]) => (value: string): boolean =>
  URL.canParse(value) && schemes.includes(new URL(value).protocol) && new URL(value).hostname !== ''

const isOrigin = (value: string): boolean => isUrl('http:', 'https:')(value) && new URL(value).origin === value

/**
 * Matches an address and a port. An IPv6 address has brackets (`[::1]:8080`), so that the port can be told from the
 * address.
 */
const addressPattern = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<name>[A-Za-z0-9._-]+)):(?<port>\d{1,5})$/

function readAddress (value: string): { host: string, port: number } | undefined {
  const { v6, name, port } = addressPattern.exec(value)?.groups ?? {}
  const host = v6 ?? name
  return host === undefined || Number(port) > 65_535 ? undefined : { host, port: Number(port) }
}

interface EgressException { host: string, prefix?: number, port?: number }

/**
 * Reads an egress exception: a host, an address or a range, with an optional port. An IPv6 address with a port is in
 * brackets.
 */
function readException (item: string): EgressException | undefined {
  const { range, bare = range, tail } = /^\[(?<range>[^[\]]*)\](?::(?<tail>.*))?$/.exec(item)?.groups ??
    (item.split(':').length > 2 ? { bare: item } : /^(?<bare>[^:]*)(?::(?<tail>.*))?$/.exec(item)?.groups) ?? {}
  const [host = '', bits, ...more] = bare?.split('/') ?? []
  const longest = { 0: 0, 4: 32, 6: 128 }[isIP(host)] ?? 0
  const isHost = longest > 0 ? host === host.toLowerCase() && !host.includes('%') : range === undefined && isHostName(host)
  if (!isHost || more.length > 0 || (longest === 0 && bits !== undefined)) return undefined
  if (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= longest)) return undefined
  if (tail !== undefined && !(/^[1-9]\d{0,4}$/.test(tail) && Number(tail) <= 65_535)) return undefined
  return { host, ...bits !== undefined && { prefix: Number(bits) }, ...tail !== undefined && { port: Number(tail) } }
}

/**
 * Tells whether the host is in the form that a URL has: lower case, international names as `xn--`, and no number that
 * some programs read as an address.
 */
const isHostName = (host: string): boolean =>
  /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/.test(host) && URL.canParse(`http://${host}`) && new URL(`http://${host}`).hostname === host

const isPath = (value: string): boolean => value !== '' && !value.includes('\0')

/** The longest delay of a Node timer. With a longer delay, the timer fires at once. */
const longestTimerMs = 2 ** 31 - 1

export const formats = {
  string: text('text', () => true),
  boolean: {
    wants: 'true or false (1 or 0)',
    parse: text => ({ true: true, 1: true, false: false, 0: false })[text],
    fits: value => typeof value === 'boolean'
  } as Format<boolean>,
  int: whole('a whole number', Number.MIN_SAFE_INTEGER),
  nat: whole('a whole number, 0 or more', 0),
  positive: whole('a whole number, 1 or more', 1),
  milliseconds: whole('a whole number of milliseconds, 1 or more (at most 2147483647)', 1, longestTimerMs),
  port: whole('a port, 0 to 65535', 0, 65_535),
  address: {
    ...text('an address and a port such as 127.0.0.1:8080 or [::1]:8080', value => readAddress(value) !== undefined),
    read: value => readAddress(value) ?? { host: '', port: 0 }
  } as Format<string, { host: string, port: number }>,
  url: text('a URL such as https://example.org/path', isUrl('http:', 'https:')),
  'postgres url': {
    ...text('a URL such as postgres://user:password@host:5432/database, with several servers …@host1:5432,host2:5432/database',
      value => isUrl('postgres:', 'postgresql:')(withOneHost(value)) && !new URL(withOneHost(value)).hostname.includes(',')),
    read: withOneHost
  },
  'valkey url': text('a URL such as valkey://host:6379 (valkeys:// with TLS; redis:// and rediss:// mean the same)',
    isUrl('valkey:', 'valkeys:', 'redis:', 'rediss:')),
  'key of 32 bytes': text('64 hexadecimal digits; `openssl rand -hex 32` makes them', value => /^[0-9a-fA-F]{64}$/.test(value)),
  email: text('an e-mail address such as name@example.org, 3 to 254 characters',
    value => value.length <= 254 && /^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u.test(value)),
  'user name': text('1 to 255 letters, digits or -_. without a dot at either end or two in a row',
    value => /^(?!\.)(?!.*\.\.)[A-Za-z0-9._-]{1,255}(?<!\.)$/.test(value)),
  password: text('8 to 1024 characters', value => value.length >= 8 && value.length <= 1024),
  bucket: text('3 to 63 lower-case letters, digits, dots and dashes', value => /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(value)),
  list: list('a list with commas between', ',', item => item !== ''),
  origins: list('a list of origins with commas between, each such as https://example.org', ',', isOrigin),
  'egress exceptions': {
    ...list('a list with commas between of what plugins may reach beside the public internet: a host, an address or a range, each with a port or without, ' +
      'such as mirror.internal, 10.1.2.3:8080, 10.0.0.0/8 or [fd00::/8]:443', ',', item => readException(item) !== undefined),
    read: value => value.map(item => readException(item) ?? { host: '' })
  } as Format<string[], EgressException[]>,
  path: { ...text('a path', isPath), read: (value, root) => resolve(root, value) } as Format<string>,
  paths: {
    ...list('a list of folders with colons between', ':', isPath),
    read: (value, root) => value.map(path => resolve(root, path))
  } as Format<string[]>
} as const

export type FormatName = keyof typeof formats
/** The type that the code gets for a setting of this format. */
export type ReadAs<Name extends FormatName> = (typeof formats)[Name] extends { read?: (value: never, root: string) => infer Read } ? Read : never

export const isFormatName = (name: string): name is FormatName => Object.hasOwn(formats, name)
