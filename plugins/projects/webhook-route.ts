// Routes of /api/projects/:projectId/webhooks and of the log of their deliveries.

import { z } from 'bulkhead'
import type { Routes, User } from 'bulkhead'
import { Delivery, WholeDelivery, type Deliveries } from './delivery.ts'
import { InProject, listOf, Page } from './form.ts'
import type { Project } from './project.ts'
import type { Standings } from './standing.ts'
import { NewWebhook, Webhook, WebhookChange, type Webhooks } from './webhook.ts'

const One = InProject.extend({ id: z.uuid() })
const OneDelivery = One.extend({ deliveryId: z.uuid() })
const path = '/:projectId/webhooks'
const writers = { signedIn: 'the project\'s owner may, and users who may write there', project: 'params.projectId' } as const

interface Parts { routes: Routes, webhooks: Webhooks, deliveries: Deliveries, standings: Standings }

export function registerWebhooks ({ routes, webhooks, standings }: Parts): void {
  const projectFor = async (user: User, { projectId }: { projectId: string }): Promise<Project> =>
    (await standings.require(user, projectId, 'project:write')).project

  routes.post(path, {
    ...writers, summary: 'Add a webhook; its secret is kept and never shown', params: InProject, body: NewWebhook, returns: Webhook, status: 201
  }, async (ctx) => webhooks.create(ctx, await projectFor(ctx.user, ctx.input.params), ctx.input.body))

  routes.get(path, {
    ...writers, summary: 'List webhooks, the oldest first', params: InProject, returns: z.object({ items: z.array(Webhook), total: z.int() })
  }, async ({ user, input }) => webhooks.list((await projectFor(user, input.params)).id))

  routes.get(`${path}/:id`, { ...writers, summary: 'One webhook', params: One, returns: Webhook },
    async ({ user, input }) => webhooks.find((await projectFor(user, input.params)).id, input.params.id))

  routes.patch(`${path}/:id`, {
    ...writers, summary: 'Change a webhook, or switch it on or off', params: One, body: WebhookChange, returns: Webhook
  }, async (ctx) => webhooks.change(ctx, await projectFor(ctx.user, ctx.input.params), ctx.input.params.id, ctx.input.body))

  routes.delete(`${path}/:id`, { ...writers, summary: 'Delete a webhook and its log', params: One },
    async (ctx) => webhooks.remove(ctx, await projectFor(ctx.user, ctx.input.params), ctx.input.params.id))
}

export function registerDeliveries ({ routes, webhooks, deliveries, standings }: Parts): void {
  const find = async (user: User, { projectId, id }: { projectId: string, id: string }): Promise<{ project: Project, webhook: Webhook }> => {
    const { project } = await standings.require(user, projectId, 'project:write')
    return { project, webhook: await webhooks.find(project.id, id) }
  }
  routes.post(`${path}/:id/ping`, {
    ...writers, summary: 'Send a webhook something that tells nothing, to see whether it arrives', params: One, returns: Delivery, status: 201
  }, async (ctx) => {
    const { project, webhook } = await find(ctx.user, ctx.input.params)
    return deliveries.ping(ctx, project, webhook)
  })

  routes.get(`${path}/:id/deliveries`, {
    ...writers, summary: 'What was sent to a webhook, newest first: the last 200, and nothing older than 30 days',
    params: One, query: Page, returns: listOf(Delivery)
  }, async ({ user, input }) => deliveries.list((await find(user, input.params)).webhook.id, input.query))

  routes.get(`${path}/:id/deliveries/:deliveryId`, {
    ...writers, summary: 'One delivery, with what was sent', params: OneDelivery, returns: WholeDelivery
  }, async ({ user, input }) => deliveries.find((await find(user, input.params)).webhook.id, input.params.deliveryId))

  routes.post(`${path}/:id/deliveries/:deliveryId/redeliver`, {
    ...writers, summary: 'Send the same once more, as another delivery', params: OneDelivery, returns: Delivery, status: 201
  }, async (ctx) => {
    const { project, webhook } = await find(ctx.user, ctx.input.params)
    return deliveries.redeliver(ctx, project, webhook, ctx.input.params.deliveryId)
  })
}
