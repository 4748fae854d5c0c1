// A host for test/http/body/body-bounds.test.ts in a process of its own: it sends its port, and answers each message with the megabytes
// by which its peak of resident memory has risen since the message before.

import { z } from '../../../core/contract/index.ts'
import { createHttp } from '../../../core/http/index.ts'
import { anyone, clock, createMemoryLog, plugin, readerToken, route, settings } from '../fixture.ts'

const { log } = createMemoryLog()
const user = {
  id: 'r', name: 'reader', displayName: null, email: 'r@example.org', permissions: new Set<string>(),
  signedInBy: { kind: 'session', id: '1', expiresAt: '2030-01-01T00:00:00.000Z' }
} as const
const http = createHttp({
  log: { ...log, debug: () => undefined }, clock, authenticate: token => token === readerToken ? user : undefined, permissionsIn: () => new Set(),
  noteRefused: () => undefined, settings
})
http.mount(plugin('notes', [
  route('post', '/', { ...anyone, body: z.json() }, () => ({ read: true })),
  route('post', '/own', { signedIn: 'a test', body: z.json() }, () => ({ read: true }))
]))
const { address: { port } } = await http.listen({ host: '127.0.0.1', port: 0 })

const peakMb = (): number => Math.round(process.resourceUsage().maxRSS / 1024)
let noted = peakMb()
process.on('message', () => {
  process.send?.({ mb: peakMb() - noted })
  noted = peakMb()
})
process.on('disconnect', () => process.exit(0))
process.send?.({ port })
