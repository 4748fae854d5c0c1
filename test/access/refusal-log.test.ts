// Refused requests in the audit log.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { createLog } from '../support/part.ts'
import { until } from '../support/until.ts'
import { addProject, counting, openHouse, signIn } from './house.ts'

const facts = { method: 'GET', route: '/api/notes/:id', status: 403, reason: 'This needs the permission "note:read".', requestId: 'r-1', address: '192.0.2.7' }

test('a refused request is in the audit log: who, what, from where and why', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const boat = await addProject(house, 'boat')
  const { user } = await signIn(room)
  room.noteRefused(user, { ...facts, projectId: boat })
  room.noteRefused(undefined, { ...facts, status: 401, address: undefined, projectId: randomUUID() })
  room.noteRefused(undefined, { ...facts, status: 404, projectId: '\0' })
  const rows = (): Promise<object[]> => house.rows(`
    select actor_id, actor_name, resource, project_id, host(ip_addr) as address, detail
    from audit_log where action = 'request.refuse' order by detail ->> 'status'
  `)
  await until(async () => (await rows()).length === 3)
  const nobody = { actor_id: '00000000-0000-0000-0000-000000000000', actor_name: 'nobody', resource: 'route', project_id: null }
  const { address, ...detail } = facts
  assert.deepEqual(await rows(), [
    { ...nobody, address: null, detail: { ...detail, status: 401 } },
    { actor_id: user.id, actor_name: 'admin', resource: 'route', project_id: boat, address, detail },
    { ...nobody, address, detail: { ...detail, status: 404 } }
  ])
})

test('a flood of them costs few statements, and what is too much is missing in the audit log, which the log says', async (t) => {
  const house = await openHouse(t)
  const asked = counting(house.postgres)
  const logged: object[] = []
  const room = await house.openRoom({ postgres: asked.postgres, log: createLog(logged) })
  for (let index = 0; index < 2_500; index++) room.noteRefused(undefined, facts)
  await until(() => logged.length > 0)
  assert.ok(asked.count <= 5, `${asked.count} statements`)
  const [row] = await house.rows('select count(*)::int as count from audit_log where action = \'request.refuse\'')
  const dropped = logged.map(entry => (entry as { dropped?: number }).dropped ?? 0).reduce((sum, count) => sum + count, 0)
  assert.ok(Number(row?.count) >= 1_000)
  assert.equal(Number(row?.count) + dropped, 2_500)
})
