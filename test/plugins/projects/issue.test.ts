// Issues and the comments on them over real HTTP: numbers, filters, who may change what, and what is told of it.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { all, openHouse } from './fixture.ts'

const creations = process.env['BULKHEAD_LONG'] === undefined ? 200 : 1_000

test('issues', { concurrency: true }, async (t) => {
  const house = await openHouse(t)
  const { admin } = house
  const [owner, writer, reader] = await Promise.all([house.person('developer'), house.person(), house.person()])
  const make = async (name: string, visibility = 'private'): Promise<string> => (await owner.post('/projects', { name, visibility })).id
  const shared = await make('shared', 'internal')
  await house.give(writer, 'developer', shared)
  const issues = `/projects/${shared}/issues`

  await Promise.all([
    t.test(`${creations} issues at once at two hosts get 1 to ${creations}, and failures leave no gap`, async () => {
      const id = await make('busy')
      const hosts = [owner, await house.through(owner, {}, await house.startReplica())]
      const fail = { title: 'for nobody', assigneeId: randomUUID() }
      const opened = await Promise.all(Array.from({ length: creations }, async (_, index) => {
        const there = hosts[index % 2] ?? owner
        if (index % 10 === 0) await there.post(`/projects/${id}/issues`, fail, 422)
        return (await there.post(`/projects/${id}/issues`, { title: `issue ${index}` })).number
      }))
      assert.deepEqual(opened.sort((a, b) => a - b), Array.from({ length: creations }, (_, index) => index + 1))
      // Merge requests count for themselves.
      assert.equal((await owner.post(`/projects/${id}/merge-requests`, { title: 'm', sourceBranch: 'a' })).number, 1)
    }),

    t.test('a number taken in a transaction that fails is the next one\'s', async () => {
      const id = await make('unlucky')
      await house.rows(`
        create or replace function public.refuse () returns trigger language plpgsql as $$ begin
          if new.title = 'unlucky' then raise exception 'no luck'; end if; return new; end $$`)
      await house.rows('create or replace trigger refuse before insert on issues for each row execute function public.refuse()')
      const numbers = await Promise.all(Array.from({ length: 20 }, async (_, index) => {
        await owner.post(`/projects/${id}/issues`, { title: 'unlucky' }, 500)
        return (await owner.post(`/projects/${id}/issues`, { title: `issue ${index}` })).number
      }))
      assert.deepEqual(numbers.sort((a, b) => a - b), Array.from({ length: 20 }, (_, index) => index + 1))
    }),

    t.test('opened by users who may write, within its limits', async () => {
      const made = await writer.post(issues, { title: 'é'.repeat(500), body: 'x'.repeat(100_000), labels: ['bug', 'ui', 'bug'], assigneeId: reader.id })
      assert.deepEqual([made.status, made.labels, made.authorId, made.assigneeId], ['open', ['bug', 'ui'], writer.id, reader.id])
      assert.deepEqual(await reader.get(`${issues}/${made.number}`), made)
      await reader.post(issues, { title: 'may not' }, 403)
      const wrong = { title: 'x'.repeat(501), body: 'x'.repeat(100_001), labels: Array.from({ length: 51 }, (_, index) => `l${index}`), assigneeId: 'x', status: 'closed' }
      assert.deepEqual((await writer.post(issues, wrong, 422)).errors.map(({ path }) => path), ['body.title', 'body.body', 'body.labels', 'body.assigneeId', 'body.status'])
      for (const body of [{}, { title: '' }, { title: 'a\u0000' }, { title: 'a', labels: [''] }, { title: 'a', labels: ['a\nb'] }]) await writer.post(issues, body, 422)
      for (const number of ['0', '-1', 'x', '1.5', '99999999999']) await reader.get(`${issues}/${number}`, 422)
      await reader.get(`${issues}/1000000`, 404)
    }),

    t.test('an assignee is someone who may see the project', async () => {
      const id = await make('assigned')
      const [guest, gone] = await Promise.all([house.person(), house.person()])
      const assign = (assigneeId: string, status: number): Promise<unknown> => owner.post(`/projects/${id}/issues`, { title: 'a', assigneeId }, status)
      for (const other of [guest.id, randomUUID()]) await assign(other, 422)
      for (const other of [owner.id, admin.id]) await assign(other, 201)
      await house.give(guest, 'viewer', id)
      await assign(guest.id, 201)
      await house.give(gone, 'viewer', id)
      await admin.delete(`/users/${gone.id}`)
      await assign(gone.id, 422)
      assert.equal((await owner.patch(`/projects/${id}/issues/1`, { assigneeId: guest.id })).assigneeId, guest.id)
      assert.equal((await owner.patch(`/projects/${id}/issues/1`, { assigneeId: null })).assigneeId, null)
      await owner.patch(`/projects/${id}/issues/1`, { assigneeId: gone.id }, 422)
      // In a project that all may see, whoever is active.
      await writer.post(issues, { title: 'a', assigneeId: guest.id })
      await writer.post(issues, { title: 'a', assigneeId: gone.id }, 422)
    }),

    t.test('closed and reopened by turns, changed by the author and by writers only', async () => {
      const id = await make('turns')
      const author = await house.person()
      await house.give(author, 'developer', id)
      const at = `/projects/${id}/issues/${(await author.post(`/projects/${id}/issues`, { title: 'mine', assigneeId: owner.id })).number}`
      const other = `/projects/${id}/issues/${(await owner.post(`/projects/${id}/issues`, { title: 'not mine' })).number}`
      await admin.delete(`/admin/users/${author.id}/roles/${String((await house.rows('select id from roles where name = \'developer\''))[0]?.id)}?projectId=${id}`)
      await author.get(at, 404)
      await house.give(author, 'viewer', id)
      // Without the right to write there is what is one's own.
      assert.equal((await author.patch(at, { title: 'still mine', labels: ['a'] })).title, 'still mine')
      assert.equal((await author.post(`${at}/close`, undefined, 200)).status, 'closed')
      await author.patch(other, { title: 'x' }, 403)
      await author.post(`${other}/close`, undefined, 403)
      assert.match((await owner.post(`${at}/close`, undefined, 409)).detail, /closed already/)
      assert.equal((await owner.post(`${at}/reopen`, undefined, 200)).status, 'open')
      await owner.post(`${at}/reopen`, undefined, 409)
      // Of many at once one closes it.
      const closed = await Promise.allSettled(Array.from({ length: 10 }, () => owner.post(`${at}/close`, undefined, 200)))
      assert.equal(closed.filter(({ status }) => status === 'fulfilled').length, 1)

      assert.deepEqual((await house.heard('issue.changed', id)).map(({ changes }) => changes), [['title', 'labels']])
      assert.deepEqual([(await house.heard('issue.opened', id)).length, (await house.heard('issue.closed', id)).length, (await house.heard('issue.reopened', id)).length], [2, 2, 1])
      const [opened] = await house.heard('issue.opened', id)
      assert.deepEqual(opened?.issue, {
        id: (opened?.issue as { id: string }).id, number: 1, title: 'mine', status: 'open', authorId: author.id, assigneeId: owner.id, labels: []
      })
      const { items } = await admin.get(`/admin/audit?projectId=${id}&resource=issue`)
      assert.deepEqual(items.map(({ action }) => String(action)).reverse(), ['issue.open', 'issue.open', 'issue.change', 'issue.close', 'issue.reopen', 'issue.close'])
    }),

    t.test('labels are trimmed, and compared in any case and in either form of their accents', async () => {
      const id = await make('labelled', 'internal')
      const at = `/projects/${id}/issues`
      const { labels } = await owner.post(at, { title: 'one', labels: [' Bug ', 'bug', 'BUG', 'E\u0301toile', 'étoile', 'a.b', 'ÄRGER (c)'] })
      assert.deepEqual(labels, ['Bug', 'Étoile', 'a.b', 'ÄRGER (c)'])
      await owner.post(at, { title: 'two', labels: ['axb', 'bugs'] })
      assert.deepEqual((await owner.patch(`${at}/2`, { labels: ['axb', 'bugs', 'AXB', '\u00a0bugs'] })).labels, ['axb', 'bugs'])
      const titles = async (label: string): Promise<unknown[]> => (await reader.get(`${at}?label=${encodeURIComponent(label)}`)).items.map(({ title }) => title)
      for (const label of ['bug', 'bUg', ' BUG', 'ÉTOILE', 'e\u0301toile', 'A.B', 'ärger (C)']) assert.deepEqual(await titles(label), ['one'], label)
      assert.deepEqual([await titles('bugs'), await titles('bu'), await titles('.*'), await titles('b\\w*')], [['two'], [], [], []])
      await house.rows('update issues set labels = $1 where project_id = $2 and number = 2', [[' Old ', 'E\u0301toile'], id])
      assert.deepEqual([await titles('old'), await titles('étoile')], [['two'], ['two', 'one']])
    }),

    t.test('text that shows nothing, or something else than it holds, is refused', async () => {
      const id = await make('shown', 'internal')
      const at = `/projects/${id}/issues`
      for (const title of ['   ', '\u200b', '\u3164\u2800', '\u00ad\ufe0f', 'a\u202eb', 'a\u2066b', 'a\u2069', '\ud800']) {
        assert.deepEqual((await owner.post(at, { title }, 422)).errors.map(({ path }) => path), ['body.title'], title)
        assert.deepEqual((await owner.post(at, { title: 'a', labels: [title] }, 422)).errors.map(({ path }) => path), ['body.labels.0'], title)
      }
      for (const title of ['\u200fשלום', 'a\u200eb', 'می\u200cخواهم', '👩\u200d👧', '\u2067שלום\u2069 a']) assert.equal((await owner.post(at, { title })).title, title)
      for (const body of ['a\u202eb', '\u2066a\nb\u2069']) await owner.post(at, { title: 'a', body }, 422)
      await owner.post(at, { title: 'a', body: '\u2067a\u2069\nb' })
      for (const body of [' \n ', '\u200b']) await owner.post(`${at}/1/comments`, { body }, 422)
      await owner.post('/projects', { name: 'blank', displayName: '\u2060' }, 422)
      await owner.post(`/projects/${id}/merge-requests`, { title: 'a', sourceBranch: 'a\u202eb' }, 422)
    }),

    t.test('listed newest first by what they are, in pages that stay in place', async () => {
      const id = await make('listed', 'internal')
      const at = `/projects/${id}/issues`
      for (const number of [1, 2, 3, 4, 5, 6, 7]) {
        await owner.post(at, { title: `Issue ${number}`, body: number % 2 === 0 ? 'about SAILS_' : '', labels: number > 4 ? ['late', 'ui'] : [], ...number === 3 ? { assigneeId: reader.id } : {} })
      }
      await admin.post(at, { title: 'by the admin' })
      await owner.post(`${at}/5/close`, undefined, 200)
      const numbers = async (query: string): Promise<number[]> => (await reader.get(`${at}?${query}`)).items.map(({ number }) => number)
      assert.deepEqual(await numbers('status=closed'), [5])
      assert.deepEqual(await numbers('label=late&status=open'), [7, 6])
      assert.deepEqual(await numbers(`assigneeId=${reader.id}`), [3])
      assert.deepEqual(await numbers(`authorId=${admin.id}`), [8])
      assert.deepEqual([await numbers('text=sails_'), await numbers('text=sailsx'), await numbers('text=issue%202')], [[6, 4, 2], [], [2]])
      assert.deepEqual((await all(reader, `${at}?label=ui`, 2)).map(({ number }) => number), [7, 6, 5])
      const first = await reader.get(`${at}?limit=3`)
      await owner.post(at, { title: 'another' })
      assert.deepEqual((await reader.get(`${at}?limit=3&cursor=${first.nextCursor ?? ''}`)).items.map(({ number }) => number), [5, 4, 3])
      assert.deepEqual([first.total, (await all(reader, at, 4)).map(({ number }) => number)], [8, [9, 8, 7, 6, 5, 4, 3, 2, 1]])
      assert.deepEqual((await reader.get(`${at}?limit=3&cursor=x`, 422)).errors.map(({ path }) => path), ['query.cursor'])
    }),

    t.test('readers comment; an author changes and deletes a comment, and so does an admin', async () => {
      const id = await make('commented', 'public')
      const at = `/projects/${id}/issues/${(await owner.post(`/projects/${id}/issues`, { title: 'talk' })).number}/comments`
      const said = await reader.post(at, { body: 'first\nof all' })
      assert.deepEqual([said.body, said.authorId], ['first\nof all', reader.id])
      for (const body of [{}, { body: '' }, { body: 'a\u0000' }, { body: 'x'.repeat(100_001) }]) await reader.post(at, body, 422)
      for (const body of ['2', '3', '4', '5']) await writer.post(at, { body })
      assert.deepEqual((await all(reader, at, 2)).map(({ body }) => body), ['first\nof all', '2', '3', '4', '5'])
      const first = await reader.get(`${at}?limit=2`)
      await writer.delete(`/projects/${id}/comments/${String(first.items[1]?.id)}`)
      await writer.post(at, { body: '6' })
      assert.deepEqual((await reader.get(`${at}?limit=2&cursor=${first.nextCursor ?? ''}`)).items.map(({ body }) => body), ['3', '4'])

      const one = `/projects/${id}/comments/${said.id}`
      await owner.patch(one, { body: 'owners do not put words into mouths' }, 403)
      await owner.delete(one, 403)
      assert.equal((await reader.patch(one, { body: 'second' })).body, 'second')
      assert.equal((await admin.patch(one, { body: 'moderated' })).body, 'moderated')
      const reading = await house.through(reader, { scopes: ['project:read'] })
      await reading.post(at, { body: 'x' }, 403)
      await reading.patch(one, { body: 'x' }, 403)
      await admin.delete(one)
      await reader.patch(one, { body: 'x' }, 404)
      await reader.delete(`/projects/${shared}/comments/${String(first.items[0]?.id)}`, 404)
      await owner.post(at.replace('1/comments', '9/comments'), { body: 'x' }, 404)

      assert.deepEqual((await house.heard('comment.changed', id)).map(({ comment, actor }) => [(comment as { body: string }).body, (actor as { id: string }).id]),
        [['second', reader.id], ['moderated', admin.id]])
      const [told] = await house.heard('comment.created', id)
      assert.deepEqual([told?.comment, (told?.issue as { number: number }).number], [{ id: said.id, body: 'first\nof all', authorId: reader.id }, 1])
      assert.deepEqual([(await house.heard('comment.created', id)).length, (await house.heard('comment.deleted', id)).length], [6, 2])
    })
  ])
})
