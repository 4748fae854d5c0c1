// The API of access: signing in and out, who am I, API tokens.

import { definePlugin } from 'bulkhead'
import { registerAuth } from './auth.ts'
import { registerTokens } from './token.ts'

export default definePlugin({
  start ({ routes, access }) {
    registerAuth(routes.at('auth'), access)
    registerTokens(routes.at('tokens'), access)
  }
})
