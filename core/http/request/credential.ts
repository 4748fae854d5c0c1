// Finds the token that a request carries, and hides it before the code of a plugin sees the request.

import type { IncomingMessage } from 'node:http'
import { Unauthorized } from '../../contract/index.ts'

/** A cookie named `__Host-…` cannot be set by a page of another site or by a page without TLS: browsers refuse it. */
export const cookieNames = { secure: '__Host-session', plain: 'session' } as const

/** The credentials found in a request. */
export interface Shown {
  readonly token: string | undefined
  /** Token of a second session cookie, which is not used to identify the caller. */
  readonly other?: string | undefined
  /**
   * The request has a cookie named `session` where the name is `__Host-session`. An earlier version or a sibling site
   * has set it. On a secure site this is also true whenever `ambiguous` is set.
   */
  readonly isStale?: boolean
  /** Name of a cookie that came with two different values. One of them is not from this site, so neither is used. */
  readonly ambiguous?: string | undefined
}

const nothing: Shown = { token: undefined }
const bearer = /^Bearer +([\w.~+/-]+=*)$/i
/** Prefix of session tokens and API tokens of this platform; no other token has it. */
const ownPrefix = 'plat_'

/**
 * `Authorization` takes precedence over the cookies; a value that is not `Bearer <token>` is refused, even beside a
 * valid cookie. Where cookies are secure, `__Host-session` takes precedence over `session`, which a sibling site can
 * set. It does so even when its session has expired.
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

/** Both names contain "session", so this one search rules out most other cookies. */
const isSessionNamed = (cookie: string): boolean => cookie.includes(cookieNames.plain)

/** Returns the distinct non-empty values of the cookies with this name. */
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
 * Removes the session cookies from the request. Removes `Authorization` when the host has used it (`isTaken`), or when
 * it holds a token of this platform that belongs to no user now. A credential that only a plugin reads stays.
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
