// Routes of /api/users/:id/password-link and /api/auth/password: a user sets a new password by a link in the user's
// mailbox.

import { Conflict, z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { Id, NewPassword } from './form.ts'
import { originOf } from './origin.ts'

interface Parts {
  readonly access: Pick<Access, 'users'>
  /** The URL of the page that sets a new password; empty when there is no such page. */
  readonly passwordPage: string | undefined
  /** Returns the function that sends a mail, or undefined while no mail can be sent. */
  readonly mailNow: () => ((userId: string, mail: { subject: string, text: string }) => Promise<void>) | undefined
}

const Sent = z.object({ expiresAt: z.iso.datetime() })
// The token may be any text: a text that cannot be a token is answered like a wrong token.
const ByLink = z.object({ token: z.string().max(255), password: NewPassword, revokeTokens: z.boolean().optional() })

export function registerPasswordLinks (routes: Routes, { access: { users }, passwordPage = '', mailNow }: Parts): void {
  routes.at('users').post('/:id/password-link', {
    permission: 'admin:users',
    summary: 'Mail a user a link to set a new password: valid for an hour, for one use, and until the user is changed. The password stays as it is until then',
    params: Id, returns: Sent, status: 201
  }, async (ctx) => {
    const mail = mailNow()
    if (mail === undefined) {
      throw new Conflict('No mail can be sent, so there is no link: it takes the plugin "notify" and a mail server (PLATFORM_SMTP_HOST).')
    }
    const { token, expiresAt, contact: { id, name } } = await users.createPasswordLink(ctx.user, ctx.input.params.id, originOf(ctx))
    await mail(id, { subject: 'Set a new password', text: textOf({ token, expiresAt, name, passwordPage }) })
    return { expiresAt }
  })

  routes.at('auth').post('/password', {
    public: 'the token of the link says who it is',
    summary: 'Set a new password by the token of a link; all sessions end, and with "revokeTokens" the API tokens, too',
    body: ByLink,
    bodyLimitBytes: 16 * 1024
  }, async (ctx) => {
    await users.setPasswordByLink(ctx.input.body, originOf(ctx))
  })
}

function textOf ({ token, expiresAt, name, passwordPage }: { token: string, expiresAt: string, name: string, passwordPage: string }): string {
  const how = passwordPage === ''
    ? `Send this to the platform, at POST /api/auth/password, with the password you want:\n\n{"token": "${token}", "password": "..."}`
    : `Open this page to do so:\n\n${passwordPage}#${token}`
  return [
    `An administrator asks the user "${name}" to set a new password.`, how,
    `It works once, until ${expiresAt}. Your password stays as it is until you set another. If you did not expect this, tell an administrator.`
  ].join('\n\n')
}
