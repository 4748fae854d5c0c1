// The cookie that holds a session, as the plugin that signs people in writes it: its name and attributes are the host's.

import type { RequestContext, SessionCookie, User } from '../../contract/index.ts'
import type { Exchange } from '../exchange.ts'
import { cookieNames } from './credential.ts'

type FindUser = () => User | undefined | Promise<User | undefined>

/** Finds the user of a cookie named `session` that came where the name is `__Host-session`. Kept apart, because plugins reach the exchange. */
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
