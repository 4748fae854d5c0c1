// /api/auth: sign in, sign out, who am I.

import { z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { sessionCookie } from './cookie.ts'
import { Password } from './form.ts'
import { originOf } from './origin.ts'

const Credentials = z.object({
  name: z.string().min(1).max(255),
  password: Password.min(1)
})

const Person = z.object({
  id: z.uuid(),
  name: z.string(),
  displayName: z.string().nullable(),
  email: z.string()
})

const NewSession = z.object({ user: Person, expiresAt: z.iso.datetime() })

const Me = z.object({
  user: Person,
  permissions: z.array(z.string()),
  signedInBy: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('session'), id: z.uuid(), expiresAt: z.iso.datetime() }),
    z.object({
      kind: z.literal('token'),
      id: z.uuid(),
      scopes: z.array(z.string()).readonly(),
      projectId: z.uuid().nullable(),
      expiresAt: z.iso.datetime().nullable()
    })
  ])
})

export function registerAuth (routes: Routes, access: Access): void {
  routes.post('/login', {
    public: 'signing in is how a caller becomes someone',
    summary: 'Sign in with name and password; the session is in the cookie',
    body: Credentials,
    returns: NewSession
  }, async (ctx) => {
    const { token, user, expiresAt } = await access.login(ctx.input.body, originOf(ctx))
    ctx.cookies.set(sessionCookie.name, token, { ...sessionCookie.attributes, expires: new Date(expiresAt) })
    return { user, expiresAt }
  })

  routes.post('/logout', {
    signedIn: 'ends the caller\'s own session only',
    summary: 'End this session'
  }, async (ctx) => {
    await access.logout(ctx.user, originOf(ctx))
    ctx.cookies.set(sessionCookie.name, null, sessionCookie.attributes)
  })

  routes.get('/me', {
    signedIn: 'tells callers only about themselves',
    summary: 'The caller and their effective permissions outside any project',
    returns: Me
  }, ({ user }) => ({ user, permissions: [...user.permissions].sort(), signedInBy: user.signedInBy }))
}
