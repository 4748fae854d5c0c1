// Lets the plugin that signs users in set and clear the session cookie. The host decides the cookie's name and
// attributes.

import type { RequestContext, SessionCookie, User } from '../../contract/index.ts'
import type { Exchange } from '../exchange.ts'
import { cookieNames } from './credential.ts'

type FindUser = () => User | undefined | Promise<User | undefined>

/**
 * Finds, for each request, the user of a cookie named `session` that came where the name is `__Host-session`. It is not
 * a property of the exchange, because plugins can reach the exchange.
 */
const stale = new WeakMap<Exchange, FindUser>()

export function noteStaleCookie (exchange: Exchange, findUser: FindUser): void {
  stale.set(exchange, findUser)
}

export function createSessionCookie ({ secure, cookies }: Pick<RequestContext, 'secure' | 'cookies'>, exchange: Exchange): SessionCookie {
  const attributes = { path: '/', httpOnly: true, sameSite: 'strict', overwrite: true, secure } as const
  const own = secure ? cookieNames.secure : cookieNames.plain
  const findOther = stale.get(exchange)
  return {
    set (token, expiresAt) {
      cookies.set(own, token, { ...attributes, expires: new Date(expiresAt) })
      if (findOther !== undefined) cookies.set(cookieNames.plain, null, attributes)
    },
    clear () {
      for (const name of new Set([own, cookieNames.plain])) cookies.set(name, null, attributes)
    },
    findOther: async () => findOther?.()
  }
}
