import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Scope } from '../../../core/contract/index.ts'
import { asAny, createRun, inMemory, type Run } from '../fixture.ts'

/** Stops what was started, whatever the test says. */
function run (t: TestContext, options: Parameters<typeof createRun>[0]): Run {
  const made = createRun(options)
  t.after(() => made.kernel.stop('the test is over', { budgetMs: 1_000 }))
  return made
}
const stateOf = ({ kernel }: Run, id: string): string | undefined => kernel.units().find(unit => unit.id === id)?.state
const reasonOf = ({ kernel }: Run, id: string): string | undefined => kernel.units().find(unit => unit.id === id)?.reason
const read = { permission: 'note:read' } as const
const permissions = { 'note:read': { description: 'See notes' } }

test('a plugin starts with its scope, and its routes, tasks and service appear all at once', async (t) => {
  const seen: unknown[] = []
  const host = run(t, {
    plugins: [inMemory('notes', {
      permissions,
      start: async ({ routes, tasks, config }) => {
        routes.get('/', read, () => [])
        tasks.every('sweep', '1m', () => undefined)
        await sleep(5)
        seen.push(config, host.mounted.size, host.tasks.size)
        return { find: () => 'found' }
      }
    })]
  })
  await host.start()
  assert.deepEqual(seen, [{ days: 3 }, 0, 0])
  assert.deepEqual(host.mounted.get('notes')?.routes.map(({ path }) => path), ['/'])
  assert.equal(host.tasks.get('notes')?.length, 1)
})

test('required and present optional plugins start first, and both are found as services', async (t) => {
  const order: string[] = []
  let found: unknown
  const service = (id: string) => ({ start: async () => { await sleep(5); order.push(id); return `service of ${id}` } })
  const host = run(t, {
    plugins: [
      inMemory('a', { start: ({ plugins }: Scope) => { order.push('a'); found = { ...plugins as object } } }, { requires: { b: '*' }, optional: { c: '*', d: '*' } }),
      inMemory('b', service('b')), inMemory('c', service('c'))
    ]
  })
  await host.start()
  assert.equal(order.at(-1), 'a')
  assert.deepEqual(found, { b: 'service of b', c: 'service of c', d: undefined })
})

test('a plugin ends in the opposite order: routes, tasks, its own steps, and then it is fenced', async () => {
  let scope: Scope | undefined
  const made = createRun({
    plugins: [inMemory('notes', {
      permissions,
      start: given => {
        scope = given
        given.routes.get('/', read, () => [])
        given.tasks.every('sweep', '1m', () => undefined)
        const { postgres } = given
        given.undo('first', async () => { await asAny(postgres).any('first') })
        given.undo('second', () => { made.calls.push(`second, told: ${given.signal.aborted}`) })
      }
    }, { resources: ['postgres'] })]
  })
  await made.start()
  await made.kernel.stop('the test is over', { budgetMs: 1_000 })
  assert.deepEqual(made.calls, ['postgres for notes', 'mount notes', 'unmount notes', 'end tasks of notes', 'second, told: true', 'first'])
  assert.ok(scope)
  await assert.rejects(asAny(scope.postgres).any('late'), { code: 'BULKHEAD_SCOPE_ENDED' })
})

test('a route with no guard or a foreign permission stops the plugin\'s start, and all are named', async (t) => {
  const host = run(t, {
    plugins: [
      inMemory('notes', {
        permissions,
        start: ({ routes }) => {
          routes.get('/ok', read, () => 1)
          routes.get('/open', {} as { public: string }, () => 1)
          routes.get('/typo', { permission: 'note:reed' }, () => 1)
          routes.get('/core', { permission: 'project:read' }, () => 1)
          routes.get('/other', { permission: 'mail:send' }, () => 1)
        }
      }),
      inMemory('mail', { permissions: { 'mail:send': { description: 'Send' } }, start () { /* nothing */ } })
    ]
  })
  await host.start()
  assert.equal(reasonOf(host, 'notes'), [
    'Plugin "notes" did not start: its routes in /plugins/notes/index.ts cannot be served.',
    'GET /open does not say who may call it.',
    'GET /typo names the permission "note:reed", which no plugin declares; write "note:read", or declare it in "permissions" of the definition.',
    'GET /other names the permission "mail:send", which belongs to the plugin "mail"; add "mail" to "requires" or "optional" of the manifest.'
  ].join('\n  '))
  assert.deepEqual([stateOf(host, 'notes'), [...host.mounted.keys()]], ['quarantined', ['mail']])
})

test('a start that throws is undone, and whatever was thrown is put into words', async (t) => {
  const steps: string[] = []
  const failing = (id: string, thrown: unknown) => inMemory(id, {
    start: scope => {
      scope.tasks.every('x', '1s', () => undefined)
      scope.undo('one', () => { steps.push(`${id} one`) })
      scope.undo('two', () => { steps.push(`${id} two`) })
      throw thrown
    }
  })
  const host = run(t, { plugins: [failing('a', new Error('out of ink')), failing('b', null), inMemory('c', { start () { /* nothing */ } }, { requires: { a: '*' } }), inMemory('d', { start () { /* nothing */ } })] })
  await host.start()
  assert.equal(reasonOf(host, 'a'), 'Plugin "a" did not start: out of ink')
  assert.equal(reasonOf(host, 'b'), 'Plugin "b" did not start: threw null, which is not an Error')
  assert.deepEqual(['a', 'b', 'c', 'd'].map(id => stateOf(host, id)), ['quarantined', 'quarantined', 'held', 'running'])
  assert.deepEqual(steps.sort(), ['a one', 'a two', 'b one', 'b two'])
  assert.deepEqual([host.tasks.size, [...host.mounted.keys()]], [0, ['d']])
})

test('a start that runs past its budget is fenced: it registers, writes and mounts nothing', async (t) => {
  const late = Promise.withResolvers<unknown[]>()
  const attempt = async (work: () => unknown): Promise<unknown> => {
    try { return await work() } catch (error) { return (error as { code?: string }).code }
  }
  const host = run(t, {
    startBudgetMs: 50,
    plugins: [inMemory('slow', {
      permissions,
      start: async ({ routes, postgres, signal, ...scope }) => {
        routes.get('/early', read, () => 1)
        await new Promise(resolve => signal.addEventListener('abort', resolve))
        await sleep(5)
        const closed = Promise.withResolvers<string>()
        late.resolve(await Promise.all([
          attempt(() => { routes.get('/late', read, () => 1) }), attempt(() => asAny(postgres).any('late')),
          attempt(() => { scope.undo('close what was opened late', () => { closed.resolve('closed') }) })
        ]))
        assert.equal(await closed.promise, 'closed')
        return 'a service'
      }
    }, { resources: ['postgres'] })]
  })
  await host.start()
  assert.deepEqual(await late.promise, ['BULKHEAD_SCOPE_ENDED', 'BULKHEAD_SCOPE_ENDED', 'BULKHEAD_SCOPE_ENDED'])
  await sleep(20)
  assert.deepEqual([host.mounted.size, stateOf(host, 'slow')], [0, 'quarantined'])
  assert.ok(!host.calls.includes('late'))
})

test('tasks that cannot be registered keep the plugin from being mounted', async (t) => {
  const host = run(t, {
    plugins: [inMemory('notes', { start: ({ tasks }) => { tasks.every('bad name', '1s', () => undefined) } })],
    rooms: { registerTasks: async () => { throw new Error('"bad name" is no name for a task') } }
  })
  await host.start()
  assert.equal(reasonOf(host, 'notes'), 'Plugin "notes" did not start: "bad name" is no name for a task')
  assert.equal(host.mounted.size, 0)
})

test('routes and tasks are declared before start has ended, and not after', async (t) => {
  let scope: Scope | undefined
  const host = run(t, { plugins: [inMemory('notes', { start: given => { scope = given } })] })
  await host.start()
  assert.throws(() => scope?.routes.get('/late', { public: 'x' }, () => 1), {
    code: 'BULKHEAD_REGISTRATION_CLOSED', message: 'Plugin "notes" declared the route GET /late after its start had ended. Declare it before "start" returns or resolves.'
  })
  assert.throws(() => scope?.tasks.cron('late', '* * * * *', () => undefined), { code: 'BULKHEAD_REGISTRATION_CLOSED' })
})
