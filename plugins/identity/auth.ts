// Routes of /api/auth: sign in, sign out, and read the caller's own user.

import { Contact, Forbidden, NewSession, Session, Token, z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { Password } from './form.ts'
import { originOf } from './origin.ts'

const Credentials = z.object({
  name: z.string().min(1).max(255),
  password: Password.min(1)
})

const Me = z.object({
  user: Contact,
  permissions: z.array(z.string()),
  signedInBy: z.discriminatedUnion('kind', [Session, Token])
})

export function registerAuth (routes: Routes, access: Access): void {
  routes.post('/login', {
    public: 'signing in is how a caller becomes someone',
    summary: 'Sign in with name and password; the session is in the cookie',
    body: Credentials,
    bodyLimitBytes: 16 * 1024,
    returns: NewSession.omit({ token: true })
  }, async (ctx) => {
    // If a foreign page could sign its visitor in as the attacker's user, the attacker could read what the visitor then
    // writes.
    if (ctx.isFromForeignPage) throw new Forbidden('A page of another origin cannot sign its visitor in. PLATFORM_CORS_ORIGINS names the origins that can.')
    const { token, user, expiresAt } = await access.login(ctx.input.body, originOf(ctx))
    ctx.sessionCookie.set(token, expiresAt)
    return { user, expiresAt }
  })

  routes.post('/logout', {
    signedIn: 'ends the caller\'s own session only',
    summary: 'End this session'
  }, async (ctx) => {
    await access.logout(ctx.user, originOf(ctx))
    const other = await ctx.sessionCookie.findOther()
    if (other?.signedInBy.kind === 'session') await access.logout(other, originOf(ctx))
    ctx.sessionCookie.clear()
  })

  routes.get('/me', {
    signedIn: 'tells callers only about themselves',
    summary: 'The caller and their effective permissions outside any project',
    returns: Me
  }, ({ user }) => ({ user, permissions: [...user.permissions].sort(), signedInBy: user.signedInBy }))
}
