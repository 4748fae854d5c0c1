// Routes of /api/notifications: the caller's notifications and preferences.

import { Forbidden, NotFound, z, type Routes, type User } from 'bulkhead'
import { knownKinds } from './event.ts'
import { Entry } from './form.ts'
import type { Inbox } from './inbox.ts'
import { Preference, type Preferences } from './preference.ts'
import type { Streams } from './stream.ts'
import { Webhook, WebhookUrl, type Webhooks } from './webhook.ts'

interface RouteParts {
  readonly inbox: Inbox
  readonly preferences: Preferences
  readonly webhooks: Webhooks
  readonly streams: Streams
  wake (userId: string): Promise<void>
}

const Page = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
  unread: z.enum(['true', 'false']).default('false').transform(text => text === 'true')
})
const Id = z.object({ id: z.uuid() })
const Unread = z.object({ unread: z.int() })
const PreferenceList = z.object({ items: z.array(Preference).max(200) })

/**
 * Returns the id of the caller. Notifications contain what other users wrote in projects, so a token with scopes may
 * not read them.
 */
function ownerOf ({ id, signedInBy }: User): string {
  if (signedInBy.kind === 'token' && signedInBy.scopes.length > 0) throw new Forbidden('A token with scopes cannot read notifications: use a session, or a token without scopes.')
  return id
}

export function registerRoutes (routes: Routes, { inbox, preferences, webhooks, streams, wake }: RouteParts): void {
  const signedIn = 'shows and changes what is the caller\'s own'

  routes.get('/', { signedIn, query: Page, returns: z.object({ items: z.array(Entry), total: z.int(), unread: z.int() }), summary: 'Your notifications, newest first' },
    ({ user, input }) => inbox.list(ownerOf(user), input.query))

  routes.get('/unread', { signedIn, returns: Unread, summary: 'How many you have not read' },
    async ({ user }) => ({ unread: await inbox.unread(ownerOf(user)) }))

  routes.post('/read', { signedIn, returns: z.object({ read: z.int() }), summary: 'Mark all as read' }, async ({ user }) => {
    const read = await inbox.readAll(ownerOf(user))
    await wake(user.id)
    return { read }
  })

  routes.post('/:id/read', { signedIn, params: Id, returns: Entry, summary: 'Mark one as read' }, async ({ user, input }) => {
    const entry = await inbox.read(ownerOf(user), input.params.id)
    await wake(user.id)
    return entry
  })

  routes.get('/stream', { signedIn, summary: 'Your notifications as they come, as server-sent events' }, async (ctx) => {
    const last = /^\d{1,15}$/.exec(ctx.get('last-event-id'))?.[0]
    // The stream stores the user object itself, because `access` accepts no copy.
    ownerOf(ctx.user)
    const body = await streams.open(ctx, ctx.user, last === undefined ? undefined : Number(last))
    ctx.type = 'text/event-stream'
    // A proxy that buffers answers would hold the events back.
    ctx.set('x-accel-buffering', 'no')
    return body
  })

  routes.get('/preferences', { signedIn, returns: PreferenceList.extend({ kinds: z.array(z.string()) }), summary: 'How each kind of notification reaches you; at once by default' },
    async ({ user }) => ({ items: await preferences.list(ownerOf(user)), kinds: [...knownKinds] }))

  routes.put('/preferences', { signedIn, body: PreferenceList, returns: PreferenceList, summary: 'Set how each kind of notification reaches you' },
    async ({ user, input }) => ({ items: await preferences.replace(ownerOf(user), input.body.items) }))

  routes.get('/webhook', { signedIn, returns: Webhook, summary: 'Where your notifications are posted to' }, async ({ user }) => {
    const webhook = await webhooks.find(ownerOf(user))
    if (webhook === undefined) throw new NotFound('You have no webhook.')
    return webhook
  })

  routes.put('/webhook', { signedIn, body: z.object({ url: WebhookUrl }), returns: Webhook, summary: 'Have your notifications posted to a URL' },
    ({ user, input }) => webhooks.set(ownerOf(user), input.body.url))

  routes.delete('/webhook', { signedIn, summary: 'Stop posting your notifications to a URL' },
    ({ user }) => webhooks.remove(ownerOf(user)))
}
