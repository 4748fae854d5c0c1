// Routes of /api/tokens: the caller's own API tokens.

import { TokenRecord, z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { Id, Line, listOf, Page } from './form.ts'
import { originOf } from './origin.ts'

const NewToken = z.object({
  name: Line,
  scopes: z.array(Line).max(100).default([]),
  projectId: z.uuid().optional(),
  expiresInDays: z.int().min(1).max(365).default(90)
})

export function registerTokens (routes: Routes, access: Access): void {
  routes.post('/', {
    signedIn: 'makes a token of the caller\'s own, which can do no more than the caller',
    summary: 'Make an API token; it is shown in this answer and never again',
    body: NewToken,
    returns: TokenRecord.extend({ token: z.string() }),
    status: 201
  }, (ctx) => access.createToken(ctx.user, ctx.input.body, originOf(ctx)))

  routes.get('/', {
    signedIn: 'lists the caller\'s own tokens',
    summary: 'List your API tokens, newest first',
    query: Page,
    returns: listOf(TokenRecord)
  }, (ctx) => access.listTokens(ctx.user, ctx.input.query))

  routes.delete('/', {
    signedIn: 'revokes the caller\'s own tokens only',
    summary: 'Revoke all your API tokens'
  }, async (ctx) => {
    await access.revokeTokens(ctx.user, originOf(ctx))
  })

  routes.delete('/:id', {
    signedIn: 'revokes a token of the caller\'s own',
    summary: 'Revoke an API token',
    params: Id
  }, async (ctx) => {
    await access.revokeToken(ctx.user, ctx.input.params.id, originOf(ctx))
  })
}
