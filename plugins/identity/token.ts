// /api/tokens: the caller's own API tokens.

import { z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { originOf } from './origin.ts'

const NewToken = z.object({
  name: z.string().min(1).max(255).regex(/^\P{Cc}*$/u, 'Control characters are not allowed.'),
  scopes: z.array(z.string().max(255)).max(100).default([]),
  projectId: z.uuid().optional(),
  expiresInDays: z.int().min(1).max(365).default(90)
})

const Token = z.object({
  id: z.uuid(),
  name: z.string(),
  scopes: z.array(z.string()).readonly(),
  projectId: z.uuid().nullable(),
  lastUsedAt: z.iso.datetime().nullable(),
  expiresAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime()
})

const Page = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0)
})

export function registerTokens (routes: Routes, access: Access): void {
  routes.post('/', {
    signedIn: 'makes a token of the caller\'s own, which can do no more than the caller',
    summary: 'Make an API token; it is shown in this answer and never again',
    body: NewToken,
    returns: Token.extend({ token: z.string() }),
    status: 201
  }, (ctx) => access.createToken(ctx.user, ctx.input.body, originOf(ctx)))

  routes.get('/', {
    signedIn: 'lists the caller\'s own tokens',
    summary: 'List your API tokens, newest first',
    query: Page,
    returns: z.object({ items: z.array(Token), total: z.int() })
  }, (ctx) => access.listTokens(ctx.user, ctx.input.query))

  routes.delete('/:id', {
    signedIn: 'revokes a token of the caller\'s own',
    summary: 'Revoke an API token',
    params: z.object({ id: z.uuid() })
  }, async (ctx) => {
    await access.revokeToken(ctx.user, ctx.input.params.id, originOf(ctx))
  })
}
