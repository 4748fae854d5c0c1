// Merge requests and reviews over real HTTP: branches, verdicts, what blocks a merge, and that a merge is for good.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { all, openHouse, type Body } from './fixture.ts'

test('merge requests', { concurrency: true }, async (t) => {
  const house = await openHouse(t)
  const { admin } = house
  const [owner, author, reviewer, reader] = await Promise.all([house.person('developer'), house.person('developer'), house.person('developer'), house.person()])
  const { id } = await owner.post('/projects', { name: 'ship', visibility: 'internal' })
  const at = `/projects/${id}/merge-requests`
  let branches = 0
  const open = async (more: object = {}): Promise<string> => `${at}/${(await author.post(at, { title: 'Sails', sourceBranch: `sails-${++branches}`, ...more })).number}`

  await Promise.all([
    t.test('opened from one branch into another', async () => {
      const made = await author.post(at, { title: 'Mast', body: 'of oak', sourceBranch: 'mast/oak' })
      assert.deepEqual([made.sourceBranch, made.targetBranch, made.status, made.authorId, made.mergedAt], ['mast/oak', 'main', 'open', author.id, null])
      assert.deepEqual(await reader.get(`${at}/${made.number}`), made)
      assert.deepEqual((await author.post(at, { title: 'x', sourceBranch: 'main' }, 422)).errors.map(({ path }) => path), ['body.targetBranch'])
      assert.deepEqual((await author.post(at, { title: 'x', sourceBranch: 'a..b', targetBranch: '-x' }, 422)).errors.map(({ path }) => path), ['body.sourceBranch', 'body.targetBranch'])
      await reader.post(at, { title: 'x', sourceBranch: 'a' }, 403)
      const one = `${at}/${made.number}`
      assert.equal((await author.patch(one, { targetBranch: 'next', title: 'Main mast' })).targetBranch, 'next')
      await author.patch(one, { targetBranch: 'mast/oak' }, 422)
      await reader.patch(one, { title: 'x' }, 403)
      await author.post(`${one}/close`, undefined, 200)
      await author.patch(one, { targetBranch: 'main' }, 409)
      assert.equal((await author.patch(one, { title: 'Mast again' })).title, 'Mast again')
      assert.deepEqual((await reader.get(`${at}?targetBranch=next&status=closed&text=again&authorId=${author.id}`)).items.map(({ title }) => title), ['Mast again'])
      assert.equal((await reader.get(`${at}?sourceBranch=nothing`)).total, 0)
    }),

    t.test('one is open for the same two branches, however it came to be so', async () => {
      const pair = { title: 'Hull', sourceBranch: 'hull', targetBranch: 'dock' }
      const { number } = await author.post(at, pair)
      assert.match((await owner.post(at, pair, 409)).detail, new RegExp(`#${number} from "hull" into "dock" is open already`))
      const elsewhere = await author.post(at, { ...pair, targetBranch: 'yard' })
      await author.patch(`${at}/${elsewhere.number}`, { targetBranch: 'dock' }, 409)
      await author.patch(`${at}/${number}`, { targetBranch: 'dock', title: 'Hull again' })
      await author.post(`${at}/${number}/close`, undefined, 200)
      await author.patch(`${at}/${elsewhere.number}`, { targetBranch: 'dock' })
      await author.post(`${at}/${number}/reopen`, undefined, 409)
      await author.post(`${at}/${elsewhere.number}/merge`, undefined, 200)
      await author.post(`${at}/${number}/reopen`, undefined, 200)
    }),

    t.test('of many for the same two branches that come at once one is open', async () => {
      const pair = { title: 'Rudder', sourceBranch: 'rudder', targetBranch: 'dock' }
      const closed = await author.post(at, pair)
      const turned = await author.post(at, { ...pair, targetBranch: 'yard' })
      await author.post(`${at}/${closed.number}/close`, undefined, 200)
      await Promise.allSettled([
        ...Array.from({ length: 6 }, (_, at) => at % 2 === 0 ? author : owner).map(person => person.post(at, pair)),
        author.post(`${at}/${closed.number}/reopen`, undefined, 200), author.patch(`${at}/${turned.number}`, { targetBranch: 'dock' })
      ])
      assert.equal((await reader.get(`${at}?sourceBranch=rudder&targetBranch=dock&status=open`)).total, 1)
    }),

    t.test('one standing verdict of each person, never on one\'s own', async () => {
      const one = await open()
      await author.post(`${one}/reviews`, { verdict: 'approve' }, 403)
      await reader.post(`${one}/reviews`, { verdict: 'request_changes' }, 403)
      await reader.post(`${one}/reviews`, { verdict: 'comment', body: 'nice' })
      await reviewer.post(`${one}/reviews`, { verdict: 'approve' })
      await Promise.all(Array.from({ length: 8 }, () => reviewer.post(`${one}/reviews`, { verdict: 'request_changes', body: 'no' })))
      const standing = async (): Promise<unknown> => (await reader.get(`${one}/reviews`)).items.map(({ verdict }) => verdict)
      assert.deepEqual(await standing(), ['comment', 'request_changes'])
      await reviewer.post(`${one}/reviews`, { verdict: 'no' }, 422)

      assert.match((await owner.post(`${one}/merge`, undefined, 409)).detail, /Changes are requested/)
      await owner.post(`${one}/reviews`, { verdict: 'approve' })
      await owner.post(`${one}/merge`, undefined, 409)
      await owner.delete(`${one}/reviews/${reviewer.id}`, 403)
      await reviewer.delete(`${one}/reviews/${reviewer.id}`)
      await reviewer.delete(`${one}/reviews/${reviewer.id}`, 404)
      await reader.post(`${one}/merge`, undefined, 403)
      const merged = await owner.post(`${one}/merge`, undefined, 200)
      assert.deepEqual([merged.status, merged.mergedBy, typeof merged.mergedAt], ['merged', owner.id, 'string'])
      await reviewer.post(`${one}/reviews`, { verdict: 'request_changes' }, 409)
      await owner.delete(`${one}/reviews/${owner.id}`, 409)
      for (const move of ['merge', 'close', 'reopen']) assert.match((await owner.post(`${one}/${move}`, undefined, 409)).detail, /merged/)
    }),

    t.test('requested changes stand until a new review, and an admin may withdraw a leaver\'s', async () => {
      const [one, two] = [await open(), await open()]
      for (const each of [one, two]) await reviewer.post(`${each}/reviews`, { verdict: 'request_changes' })
      await reviewer.post(`${one}/reviews`, { verdict: 'approve' })
      await owner.post(`${one}/merge`, undefined, 200)
      await owner.post(`${two}/merge`, undefined, 409)
      await admin.delete(`${two}/reviews/${reviewer.id}`)
      await owner.post(`${two}/merge`, undefined, 200)
    }),

    t.test('a merge and requested changes that come at once: never both', async () => {
      const ones = await Promise.all(Array.from({ length: 20 }, () => open()))
      await Promise.all(ones.map(async one => {
        const [review, merge] = await Promise.allSettled([reviewer.post(`${one}/reviews`, { verdict: 'request_changes' }), owner.post(`${one}/merge`, undefined, 200)])
        assert.equal([review, merge].filter(({ status }) => status === 'fulfilled').length, 1)
      }))
    }),

    t.test('each step is told, and comments go with it', async () => {
      const { id: other } = await author.post('/projects', { name: 'told', visibility: 'internal' })
      const path = `/projects/${other}/merge-requests`
      const { number } = await author.post(path, { title: 'Keel', sourceBranch: 'keel' })
      const one = `${path}/${number}`
      await reviewer.post(`${one}/reviews`, { verdict: 'request_changes', body: 'oak, please' })
      await reviewer.delete(`${one}/reviews/${reviewer.id}`)
      await reader.post(`${one}/comments`, { body: 'well' })
      for (const move of ['close', 'reopen', 'merge']) await author.post(`${one}/${move}`, undefined, 200)
      const of = async (event: string): Promise<Body> => (await house.heard(`merge-request.${event}`, other))[0] as Body
      assert.deepEqual((await of('opened')).mergeRequest, {
        id: ((await of('opened')).mergeRequest as Body).id, number, title: 'Keel', status: 'open', authorId: author.id, sourceBranch: 'keel', targetBranch: 'main'
      })
      assert.deepEqual({ ...(await of('reviewed')).review as Body, id: '' }, { id: '', reviewerId: reviewer.id, verdict: 'request_changes', body: 'oak, please' })
      assert.deepEqual((await of('changed')).changes, ['reviews'])
      assert.deepEqual([(await of('closed')).mergeRequest, (await of('reopened')).mergeRequest, (await of('merged')).mergeRequest].map(told => (told as Body).status), ['closed', 'open', 'merged'])
      assert.equal(((await house.heard('comment.created', other))[0]?.mergeRequest as Body).number, number)
      assert.deepEqual((await all(reader, `${one}/comments`, 1)).map(({ body }) => body), ['well'])
      const { items } = await admin.get(`/admin/audit?projectId=${other}&resource=merge-request`)
      assert.deepEqual(items.map(({ action }) => String(action).slice('merge-request.'.length)).reverse(), ['open', 'review', 'withdraw-review', 'close', 'reopen', 'merge'])
    })
  ])
})
