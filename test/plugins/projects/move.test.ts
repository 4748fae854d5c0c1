// Whatever is asked, in whatever order: what becomes of an issue and a merge request is what the transition table says, and nothing else happens.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { issueMoves, issueStates, mergeRequestMoves, mergeRequestStates, type Move } from '../../../plugins/projects/move.ts'
import { openHouse } from './fixture.ts'

const rounds = process.env['BULKHEAD_LONG'] === undefined ? 12 : 300
const things = {
  issues: { moves: issueMoves, states: issueStates, make: () => ({ title: 'x' }) },
  'merge-requests': { moves: mergeRequestMoves, states: mergeRequestStates, make: (round: number) => ({ title: 'x', sourceBranch: `branch-${round}` }) }
} as const

test('a sequence of moves ends where the table leads', { concurrency: true }, async (t) => {
  const { admin } = await openHouse(t)
  const { id } = await admin.post('/projects', { name: 'moves' })
  await Promise.all(Object.entries(things).map(([name, { moves, make }]) => t.test(name, async () => {
    let round = 0
    const table: Readonly<Record<string, Move<string>>> = moves
    await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom(...Object.keys(table)), { minLength: 1, maxLength: 8 }), async asked => {
      const path = `/projects/${id}/${name}`
      const one = `${path}/${(await admin.post(path, make(++round))).number}`
      let state = 'open'
      for (const move of asked) {
        const { from, to } = table[move] ?? assert.fail(move)
        const isAllowed = from.includes(state)
        await admin.post(`${one}/${move}`, undefined, isAllowed ? 200 : 409)
        if (isAllowed) state = to
        assert.equal((await admin.get(one)).status, state)
      }
    }), { numRuns: rounds })
  })))
})

test('every state is in the table, and what is final has no way out', () => {
  for (const { moves, states } of Object.values(things)) {
    const all = Object.values<Move<string>>(moves)
    for (const state of states) assert.ok(state === 'open' || all.some(({ to }) => to === state), `nothing leads to ${state}`)
    for (const { from, to } of all) assert.ok(!from.includes(to) && [...from, to].every(state => (states as readonly string[]).includes(state)))
  }
  assert.deepEqual(Object.values<Move<string>>(mergeRequestMoves).filter(({ from }) => from.includes('merged')), [])
})
