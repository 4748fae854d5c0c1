// Finds the token that a request carries, and hides it before the code of a plugin sees the request.

import type { IncomingMessage } from 'node:http'
import { Unauthorized } from '../../contract/index.ts'

/** Browsers let no page of another site, and no page without TLS, set a cookie whose name begins with `__Host-`. */
export const cookieNames = { secure: '__Host-session', plain: 'session' } as const

/** What a request shows to be known by. */
export interface Shown {
  readonly token: string | undefined
  /** Of a second session cookie, which does not count. */
  readonly other?: string | undefined
  /** A cookie named `session` came where the name is `__Host-session`: an earlier version has set it, or a sibling site. */
  readonly isStale?: boolean
  /** The name of a cookie that came twice with two values: one of them is not this site's, and none counts. */
  readonly ambiguous?: string | undefined
}

const nothing: Shown = { token: undefined }
const bearer = /^Bearer +([\w.~+/-]+=*)$/i
/** Sessions and API tokens begin like this; no other token does. */
const ownPrefix = 'plat_'

/**
 * `Authorization` goes before the cookies; one that is not `Bearer <token>` is refused, even beside a good cookie. Where cookies are secure,
 * `__Host-session` goes before `session`, which a sibling site can set, also when it is over.
 */
export function findShown ({ headers }: IncomingMessage, isSecure: boolean): Shown {
  if (headers.authorization !== undefined) {
    const token = bearer.exec(headers.authorization)?.[1]
    if (token === undefined) throw new Unauthorized('The Authorization header is not of the form "Bearer <token>".')
    return { token }
  }
  if (headers.cookie === undefined) return nothing
  const plain = valuesOf(headers.cookie, cookieNames.plain)
  const secure = isSecure ? valuesOf(headers.cookie, cookieNames.secure) : []
  const [values, name] = secure.length > 0 ? [secure, cookieNames.secure] : [plain, cookieNames.plain]
  if (values.length > 1) return { token: undefined, ambiguous: name, isStale: isSecure }
  const [token] = values
  return { token, other: plain.find(value => value !== token), isStale: isSecure && plain.length > 0 }
}

export const hasCredential = (req: IncomingMessage): boolean => req.headers.authorization !== undefined || hasSessionCookie(req)

export const hasSessionCookie = ({ headers: { cookie } }: IncomingMessage): boolean =>
  cookie !== undefined && isSessionNamed(cookie) && [cookieNames.plain, cookieNames.secure].some(name => valuesOf(cookie, name).length > 0)

/** Both names end like this, so most cookies are told apart at one look. */
const isSessionNamed = (cookie: string): boolean => cookie.includes(cookieNames.plain)

/** The different values, without the empty one, that the cookies of this name have. */
function valuesOf (cookie: string, name: string): string[] {
  if (!cookie.includes(name)) return []
  const values = new Set<string>()
  for (const pair of cookie.split(';')) if (nameOf(pair) === name) values.add(pair.slice(pair.indexOf('=') + 1).trim())
  values.delete('')
  return [...values]
}

const nameOf = (pair: string): string => {
  const mark = pair.indexOf('=')
  return mark === -1 ? '' : pair.slice(0, mark).trim()
}

/**
 * Takes the session cookies out of the request, and `Authorization` where the host has taken it (`isTaken`) or where it holds a token of this
 * platform that counts for nobody now. What a plugin reads as a credential of its own stays.
 */
export function hideCredentials ({ headers, rawHeaders }: IncomingMessage, isTaken: boolean): void {
  const { authorization, cookie } = headers
  const hidesAuthorization = authorization !== undefined && (isTaken || authorization.includes(ownPrefix))
  const hidesCookie = cookie !== undefined && isSessionNamed(cookie)
  if (!hidesAuthorization && !hidesCookie) return
  if (hidesAuthorization) delete headers.authorization
  if (hidesCookie) {
    const left = withoutSession(cookie)
    if (left === '') delete headers.cookie
    else headers.cookie = left
  }
  for (let at = rawHeaders.length - 2; at >= 0; at -= 2) {
    const name = rawHeaders[at]?.toLowerCase()
    if (name === 'authorization' && hidesAuthorization) rawHeaders.splice(at, 2)
    else if (name === 'cookie' && hidesCookie) {
      const left = withoutSession(rawHeaders[at + 1] ?? '')
      if (left === '') rawHeaders.splice(at, 2)
      else rawHeaders[at + 1] = left
    }
  }
}

const withoutSession = (cookie: string): string => cookie.split(';').map(pair => pair.trim()).filter(pair => {
  const name = nameOf(pair)
  return pair !== '' && name !== cookieNames.plain && name !== cookieNames.secure
}).join('; ')
