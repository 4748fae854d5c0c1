// The API of access: signing in and out, sessions, API tokens, users, roles, delegations, the audit log.

import { definePlugin } from 'bulkhead'
import { registerAudit } from './audit.ts'
import { registerAuth } from './auth.ts'
import { registerDelegations } from './delegation.ts'
import { registerRoles } from './role.ts'
import { registerSessions } from './session.ts'
import { registerTokens } from './token.ts'
import { registerUsers } from './user.ts'

export default definePlugin({
  start ({ routes, access }) {
    registerAuth(routes.at('auth'), access)
    registerSessions(routes.at('auth'), access)
    registerUsers(routes.at('users'), access)
    registerTokens(routes.at('tokens'), access)
    registerRoles(routes.at('admin'), access)
    registerDelegations(routes.at('admin'), access)
    registerAudit(routes.at('admin'), access)
  }
})
