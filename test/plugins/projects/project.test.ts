// Projects over real HTTP: made, seen by whom, changed, deleted and brought back.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { all, openHouse, type Body, type Person } from './fixture.ts'

const names = ({ items }: Body): string => items.map(({ name }) => String(name)).sort().join(' ')

test('projects', { concurrency: true }, async (t) => {
  const house = await openHouse(t)
  const { admin, rows } = house
  const [ada, eve, nobody] = await Promise.all([house.person('developer'), house.person('agent'), house.person()])
  const make = async (person: Person, name: string, more: object = {}): Promise<string> => (await person.post('/projects', { name, ...more })).id

  await Promise.all([
    t.test('made by users who may write, under a name of their own', async () => {
      const made = await ada.post('/projects', { name: 'loom', displayName: 'The Loom', description: 'of cards\nand threads', defaultBranch: 'trunk' })
      assert.deepEqual([made.name, made.ownerId, made.visibility, made.defaultBranch, made.displayName], ['loom', ada.id, 'private', 'trunk', 'The Loom'])
      assert.match(String(made.ownerName), /^p-/)
      assert.deepEqual(await ada.get(`/projects/${made.id}`), made)
      assert.match((await ada.post('/projects', { name: 'loom' }, 409)).detail, /a project "loom" already/)
      await admin.post('/projects', { name: 'loom' })
      await eve.post('/projects', { name: 'raft' }, 403)
      for (const name of ['', '.a', 'a.', 'a..b', 'a b', 'ä', 'a/b', '~a', 'x'.repeat(256), 7]) {
        assert.deepEqual((await ada.post('/projects', { name }, 422)).errors.map(({ path }) => path), ['body.name'])
      }
      await make(ada, 'x'.repeat(255))
      for (const defaultBranch of ['', '-a', 'a..b', 'a b', 'a~', 'a:b', 'a/', '/a', 'a//b', 'a.lock', 'b.lock/a', '.a', 'a/.b', 'a.', '@', 'a@{b', 'HEAD', 'a\\b', 'a\u007f', 'a[']) {
        assert.deepEqual((await ada.post('/projects', { name: 'branches', defaultBranch }, 422)).errors.map(({ path }) => path), ['body.defaultBranch'], defaultBranch)
      }
      for (const defaultBranch of ['a', 'feature/x-1', 'ü', 'a@b', 'release/1.0', '@a']) {
        assert.equal((await ada.patch(`/projects/${made.id}`, { defaultBranch })).defaultBranch, defaultBranch)
      }
    }),

    t.test('a project is visible to owner, roles and delegations, and to all unless it is private', async () => {
      const [reader, stranger] = await Promise.all([house.person(), house.person('ops')])
      const [hidden, internal, open] = [await make(ada, 'v-private'), await make(ada, 'v-internal', { visibility: 'internal' }), await make(ada, 'v-public', { visibility: 'public' })]
      const seen = async (person: Person): Promise<string> => names(await person.get('/projects?text=v-&limit=100'))
      assert.deepEqual([await seen(ada), await seen(admin), await seen(reader), await seen(stranger)],
        ['v-internal v-private v-public', 'v-internal v-private v-public', 'v-internal v-public', 'v-internal v-public'])
      for (const path of ['', '/permissions', '/issues', '/merge-requests']) {
        assert.equal((await stranger.get(`/projects/${hidden}${path}`, 404)).detail, (await stranger.get(`/projects/${randomUUID()}${path}`, 404)).detail)
      }
      await reader.patch(`/projects/${open}`, { description: 'mine' }, 403)
      await reader.delete(`/projects/${internal}`, 403)
      await reader.delete(`/projects/${hidden}`, 404)
      assert.deepEqual((await reader.get(`/projects/${open}/permissions`)).permissions, ['project:read'])

      await house.give(reader, 'viewer', hidden)
      assert.equal(await seen(reader), 'v-internal v-private v-public')
      await reader.patch(`/projects/${hidden}`, { description: 'mine' }, 403)

      // Lent, and taken back.
      const lent = await ada.post('/admin/delegations', { delegateId: stranger.id, permission: 'project:read', projectId: hidden })
      assert.equal(await seen(stranger), 'v-internal v-private v-public')
      await stranger.get(`/projects/${hidden}`)
      await ada.delete(`/admin/delegations/${lent.id}`)
      assert.equal(await seen(stranger), 'v-internal v-public')
      await stranger.get(`/projects/${hidden}`, 404)
    }),

    t.test('an owner needs no role, and holds what the token leaves', async () => {
      const owner = await house.person()
      await house.give(owner, 'developer')
      const id = await make(owner, 'owned')
      const other = await make(admin, 'not-owned')
      await rows('delete from user_roles where user_id = $1', [owner.id])
      await rows('update bulkhead.access_epoch set value = value + 1')
      await new Promise(resolve => setTimeout(resolve, 1_100))
      await owner.post('/projects', { name: 'another' }, 403)
      assert.deepEqual(await owner.get(`/projects/${id}/permissions`), { isOwner: true, permissions: ['project:delete', 'project:read', 'project:write'] })
      await owner.patch(`/projects/${id}`, { description: 'still mine' })
      await owner.post(`/projects/${id}/issues`, { title: 'an issue' })

      const reading = await house.through(owner, { scopes: ['project:read'] })
      assert.deepEqual((await reading.get(`/projects/${id}/permissions`)).permissions, ['project:read'])
      await reading.patch(`/projects/${id}`, { description: 'x' }, 403)
      await reading.post(`/projects/${id}/issues`, { title: 'x' }, 403)
      await reading.post(`/projects/${id}/issues/1/comments`, { body: 'x' }, 403)
      await reading.patch(`/projects/${id}/issues/1`, { title: 'x' }, 403)
      await reading.delete(`/projects/${id}`, 403)
      const elsewhere = await house.through(owner, { scopes: ['alert:manage'] })
      await elsewhere.get('/projects', 403)
      await elsewhere.get(`/projects/${id}`, 404)

      // A token of the admin's bound to a project: the one it lists, the one it reaches.
      const bound = await house.through(admin, { projectId: other })
      assert.equal(names(await bound.get('/projects')), 'not-owned')
      await bound.get(`/projects/${other}`)
      await bound.post(`/projects/${other}/issues`, { title: 'by token' })
      await bound.get(`/projects/${id}`, 404)
      await bound.post('/projects', { name: 'beyond' }, 404)
    }),

    t.test('other plugins ask the same, of callers and of users by id', async () => {
      const [owner, guest] = await Promise.all([house.person('developer'), house.person()])
      const [id, open] = [await make(owner, 'asked'), await make(owner, 'asked-open', { visibility: 'internal' })]
      const find = async (person: Person, project: string): Promise<unknown> => (await nobody.get(`/ear/find/${project}/${person.id}`)).name
      assert.deepEqual([await find(owner, id), await find(admin, id), await find(guest, id)], ['asked', 'asked', null])
      assert.deepEqual([await find(guest, open), await find(guest, randomUUID())], ['asked-open', null])
      await owner.get(`/ear/require/${id}/write`)
      await guest.get(`/ear/require/${open}/read`)
      await guest.get(`/ear/require/${open}/write`, 403)
      await guest.get(`/ear/require/${id}/read`, 404)
      const reading = await house.through(owner, { scopes: ['project:read'] })
      await reading.get(`/ear/require/${id}/write`, 403)
      await admin.delete(`/users/${guest.id}`)
      assert.equal(await find(guest, open), null)
    }),

    t.test('lists are filtered, searched and paged, and stay in place while others are made', async () => {
      const owner = await house.person('developer')
      for (const name of ['one', 'two', 'three', 'four', 'five']) {
        await make(owner, `list-${name}`, { description: name === 'two' ? '100% of_it' : null, visibility: name === 'one' ? 'internal' : 'private' })
      }
      const of = `/projects?ownerId=${owner.id}`
      assert.deepEqual((await all(owner, of, 2)).map(({ name }) => name), ['list-five', 'list-four', 'list-three', 'list-two', 'list-one'])
      const first = await owner.get(`${of}&limit=2`)
      assert.equal(first.total, 5)
      await make(owner, 'list-six')
      const second = await owner.get(`${of}&limit=2&cursor=${first.nextCursor ?? ''}`)
      assert.deepEqual(second.items.map(({ name }) => name), ['list-three', 'list-two'])
      assert.equal(second.total, 6)
      assert.equal(names(await owner.get(`${of}&text=LIST-T`)), 'list-three list-two')
      assert.deepEqual([names(await owner.get(`${of}&text=100%25`)), names(await owner.get(`${of}&text=of_`)), names(await owner.get(`${of}&text=f_o`))], ['list-two', 'list-two', ''])
      assert.equal(names(await owner.get(`${of}&name=list-six`)), 'list-six')
      assert.equal(names(await owner.get(`${of}&visibility=internal`)), 'list-one')
      for (const query of ['limit=0', 'limit=101', 'cursor=none', 'cursor=WzFd', 'visibility=secret', 'owner=1']) await owner.get(`/projects?${query}`, 422)
    }),

    t.test('deleted it is there for nobody, its name is free, and an admin brings it back', async () => {
      const owner = await house.person('developer')
      const id = await make(owner, 'phoenix', { visibility: 'public' })
      await owner.post(`/projects/${id}/issues`, { title: 'kept' })
      await nobody.delete(`/projects/${id}`, 403)
      await owner.delete(`/projects/${id}`)
      for (const person of [owner, admin, nobody]) await person.get(`/projects/${id}`, 404)
      await owner.delete(`/projects/${id}`, 404)
      await owner.post(`/projects/${id}/issues`, { title: 'too late' }, 404)
      assert.equal(names(await owner.get(`/projects?ownerId=${owner.id}`)), '')
      const again = await make(owner, 'phoenix')

      await owner.get('/projects/deleted', 403)
      await owner.post(`/projects/${id}/restore`, {}, 403)
      const deleted = (await all(admin, '/projects/deleted', 1)).find(project => project.id === id)
      assert.deepEqual([deleted?.name, deleted?.ownerId, deleted?.deletedBy], ['phoenix', owner.id, owner.id])
      assert.match((await admin.post(`/projects/${id}/restore`, {}, 409)).detail, /a project "phoenix" already/)
      assert.equal((await admin.post(`/projects/${id}/restore`, { name: 'phoenix-1' }, 200)).name, 'phoenix-1')
      await admin.post(`/projects/${id}/restore`, {}, 404)
      await admin.post(`/projects/${again}/restore`, {}, 404)
      assert.equal((await owner.get(`/projects/${id}/issues/1`)).title, 'kept')
      assert.deepEqual((await house.heard('project.restored', id)).length, 1)
    }),

    t.test('each change is an event and a line in the audit log; what changes nothing is neither', async () => {
      const owner = await house.person('developer')
      const id = await make(owner, 'told')
      const changed = await owner.patch(`/projects/${id}`, { name: 'told-2', visibility: 'internal', displayName: null })
      assert.deepEqual([changed.name, changed.visibility], ['told-2', 'internal'])
      assert.deepEqual(await owner.patch(`/projects/${id}`, { name: 'told-2' }), changed)
      await make(owner, 'told')
      await owner.patch(`/projects/${id}`, { name: 'told' }, 409)
      await owner.delete(`/projects/${id}`)
      const [made] = await house.heard('project.created', id)
      assert.deepEqual(made, { actor: made?.actor, project: { id, name: 'told', ownerId: owner.id }, at: made?.at })
      assert.equal((made.actor as { id: string }).id, owner.id)
      assert.ok(Math.abs(Date.parse(String(made.at)) - Date.now()) < 600_000)
      assert.deepEqual((await house.heard('project.changed', id)).map(({ changes }) => changes), [['name', 'visibility']])
      assert.equal((await house.heard('project.deleted', id)).length, 1)
      const { items } = await admin.get(`/admin/audit?projectId=${id}`)
      assert.deepEqual(items.map(({ action, resource, resourceId }) => [action, resource, resourceId]),
        ['project.delete', 'project.change', 'project.create'].map(action => [action, 'project', id]))
      assert.deepEqual(items[1]?.detail, { changes: ['name', 'visibility'], from: 'told', to: 'told-2', visibility: 'internal' })
      assert.notEqual(items[0]?.address, null)
    })
  ])
})
