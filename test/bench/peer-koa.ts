// Bare koa: one middleware that answers, nothing checked. What the others are measured against.

import type { AddressInfo } from 'node:net'
import Koa from 'koa'
import { announce, note } from './peer.ts'

const koa = new Koa()
koa.use(ctx => { ctx.body = note })
const server = koa.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port))
