// A plugin's own `fetch`: each request is counted while it is in progress, and ends with the plugin.

import type { GuardedFetch } from '../../contract/index.ts'
import { runAs } from '../ownership/owner.ts'
import type { Grantee } from './fenced-resource.ts'

export function createFetch (fetch: GuardedFetch, { fence, owner }: Grantee): GuardedFetch {
  return async (url, options = {}) => {
    fence.check()
    const ended = new AbortController()
    const forget = fence.onEnd(error => ended.abort(error))
    const { signal } = options
    const done = owner.account.open('connections', `fetch ${URL.canParse(String(url)) ? new URL(url).origin : ''}`)
    try {
      return await runAs(undefined, () => fetch(url, {
        ...options, signal: signal === undefined || signal === null ? ended.signal : AbortSignal.any([ended.signal, signal])
      }))
    } finally {
      forget()
      done()
    }
  }
}
