// The HTTP API of the resource `access`: signing in and out, sessions, API tokens, users, roles, delegations, and the
// audit log.

import { definePlugin, type Services } from 'bulkhead'
import { registerAudit } from './audit.ts'
import { registerAuth } from './auth.ts'
import { registerDelegations } from './delegation.ts'
import { registerPasswordLinks } from './password-link.ts'
import { registerRoles } from './role.ts'
import { registerSessions } from './session.ts'
import { registerTokens } from './token.ts'
import { registerUsers } from './user.ts'

export default definePlugin({
  config: {
    passwordPage: {
      doc: 'Page where users set a new password, for the links in mails; the token is added behind #. Empty: the mail says how without a page',
      format: 'url', default: '', env: 'IDENTITY_PASSWORD_PAGE'
    }
  },

  start ({ routes, access, plugins, config }) {
    registerAuth(routes.at('auth'), access)
    registerSessions(routes.at('auth'), access)
    registerUsers(routes.at('users'), access)
    registerPasswordLinks(routes, { access, passwordPage: config.passwordPage, mailNow: () => mailNowOf(plugins) })
    registerTokens(routes.at('tokens'), access)
    registerRoles(routes.at('admin'), access)
    registerDelegations(routes.at('admin'), access)
    registerAudit(routes.at('admin'), access)
  }
})

/**
 * Finds the current `mailNow` service for each mail: "notify" may be switched on and off, and another generation of it
 * may use another mail server.
 */
const mailNowOf = ({ notify }: Partial<Services>) => notify?.mailNow
