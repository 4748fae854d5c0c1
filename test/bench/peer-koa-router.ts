// Koa with all routes in one @koa/router, as one would without a host; nothing checked.

import type { AddressInfo } from 'node:net'
import { Router } from '@koa/router'
import Koa from 'koa'
import { announce, note, pluginCount } from './peer.ts'

const koa = new Koa()
const router = new Router()
for (let at = 0; at < pluginCount; at++) {
  const path = `/api/plugin-${at}`
  router.get(path, ctx => { ctx.body = [note] })
  router.post(path, ctx => { ctx.body = note })
  router.get(`${path}/:id`, ctx => { ctx.body = note })
  router.patch(`${path}/:id`, ctx => { ctx.body = note })
  router.delete(`${path}/:id`, ctx => { ctx.status = 204 })
}
koa.use(router.routes())
const server = koa.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port))
