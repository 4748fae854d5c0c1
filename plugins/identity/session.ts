// Routes of /api/auth/sessions: the sessions of the caller.

import { SessionRecord } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { Id, listOf, Page } from './form.ts'
import { originOf } from './origin.ts'

export function registerSessions (routes: Routes, { sessions }: Access): void {
  routes.get('/sessions', {
    signedIn: 'lists the caller\'s own sessions',
    summary: 'List where you are signed in, newest first',
    query: Page,
    returns: listOf(SessionRecord)
  }, ({ user, input }) => sessions.list(user, input.query))

  routes.get('/sessions/:id', {
    signedIn: 'shows a session of the caller\'s own',
    summary: 'One of your sessions',
    params: Id,
    returns: SessionRecord
  }, ({ user, input }) => sessions.find(user, input.params.id))

  routes.delete('/sessions', {
    signedIn: 'ends the caller\'s own sessions only',
    summary: 'End all your sessions, this one too'
  }, async (ctx) => {
    await sessions.endAll(ctx.user, originOf(ctx))
    ctx.sessionCookie.clear()
  })

  routes.delete('/sessions/:id', {
    signedIn: 'ends a session of the caller\'s own',
    summary: 'End one of your sessions',
    params: Id
  }, async (ctx) => {
    await sessions.end(ctx.user, ctx.input.params.id, originOf(ctx))
  })
}
