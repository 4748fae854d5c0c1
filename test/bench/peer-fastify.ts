// Fastify with @fastify/autoload over generated folders of five routes; params and answer by JSON schema as is its habit, nobody authenticated.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import autoload from '@fastify/autoload'
import { fastify } from 'fastify'
import { announce, note, pluginCount } from './peer.ts'

const plugin = `
const note = ${JSON.stringify(note)}
const text = { type: 'string' }
const answer = { 200: { type: 'object', properties: { id: text, title: text, text, createdAt: text } } }
const params = { type: 'object', properties: { id: { type: 'string', format: 'uuid' } }, required: ['id'] }
export default async function (app) {
  app.get('/', async () => [note])
  app.post('/', async () => note)
  app.get('/:id', { schema: { params, response: answer } }, async () => note)
  app.patch('/:id', { schema: { params, response: answer } }, async () => note)
  app.delete('/:id', { schema: { params } }, async (request, reply) => reply.code(204).send())
}
`

const folder = await mkdtemp(join(tmpdir(), 'bulkhead-bench-'))
await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
for (let at = 0; at < pluginCount; at++) {
  const own = join(folder, 'plugins', `plugin-${at}`)
  await mkdir(own, { recursive: true })
  await writeFile(join(own, 'index.js'), plugin)
}
const app = fastify()
await app.register(autoload, { dir: join(folder, 'plugins'), options: { prefix: '/api' } })
await app.listen({ host: '127.0.0.1', port: 0 })
await rm(folder, { recursive: true })
announce((app.server.address() as AddressInfo).port)
