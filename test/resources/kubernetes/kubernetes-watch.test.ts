// Watching a cluster: what is there, what changes, and what changed while nobody could see; on a real Kubernetes API where there is one.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Forbidden, NotFound, ServiceUnavailable } from '../../../core/contract/index.ts'
import type { Kubernetes, KubernetesChange, KubernetesObject, KubernetesWatchTarget } from '../../../core/contract/index.ts'
import { openKubernetes } from '../../../core/resources/kubernetes/kubernetes-client.ts'
import { changeKubeconfig, findCluster, startStandIn } from '../../support/kubernetes-server.ts'
import { clock, createLog, openParts } from '../../support/part.ts'
import { startProxy } from '../../support/proxy.ts'
import { undo } from '../../support/undo.ts'
import { until } from '../../support/until.ts'

interface ConfigMap extends KubernetesObject { data?: Record<string, string> }

const namespace = 'default'
const path = '/api/v1/configmaps'

async function open (t: TestContext, kubeconfig: string | undefined, log: object[] = [], watchRoundMs = 15_000) {
  const resource = await openKubernetes({ kubeconfig, inCluster: false, watchRoundMs }, openParts({ log: createLog(log) }))
  let closing: Promise<void> | undefined
  const close = () => closing ??= resource.close()
  undo(t, close)
  return { ...resource, close, kubernetes: resource.value }
}

/** The config maps of this test, by a label of their own; gone after it. */
function configMapsOf (t: TestContext, kubernetes: Kubernetes) {
  const label = `test-${randomUUID()}`
  const nameOf = (name: string) => `${name}-${label}`
  const bodyOf = (name: string, a: string) => ({ metadata: { name: nameOf(name), labels: { label } }, data: { a } })
  const made = new Set<string>()
  const remove = async (name: string) => {
    made.delete(name)
    await kubernetes.call(({ core }) => core.deleteNamespacedConfigMap({ namespace, name: nameOf(name) }))
  }
  undo(t, async () => { for (const name of made) await remove(name).catch((error: unknown) => { assert.ok(error instanceof NotFound) }) })
  return {
    selector: `label=${label}`,
    nameOf,
    make: async (name: string, a: string) => {
      await kubernetes.call(({ core }) => core.createNamespacedConfigMap({ namespace, body: bodyOf(name, a) }))
      made.add(name)
    },
    change: async (name: string, a: string) => {
      await kubernetes.call(({ core }) => core.replaceNamespacedConfigMap({ namespace, name: nameOf(name), body: bodyOf(name, a) }))
    },
    remove
  }
}

/** What a watcher is told, as `ADDED one=1`. */
async function listen (kubernetes: Kubernetes, target: Partial<KubernetesWatchTarget>) {
  const told: string[] = []
  const changes: KubernetesChange<ConfigMap>[] = []
  const leave = await kubernetes.watch<ConfigMap>({ path, ...target }, change => {
    const { type, object: { metadata: { name }, data } } = change
    changes.push(change)
    told.push(`${type} ${name.split('-test-')[0] ?? ''}=${data?.a ?? ''}`)
  })
  return { told, changes, leave, tells: (line: string) => until(() => told.includes(line)) }
}

test('a watcher gets the existing objects first, then each change in order, until it leaves', async t => {
  const { kubernetes } = await open(t, await findCluster(t))
  const maps = configMapsOf(t, kubernetes)
  // More than the stand-in gives in one page.
  const names = ['one', 'two', 'three', 'four', 'five', 'six', 'seven']
  for (const name of names) await maps.make(name, '1')
  const { told, changes, leave, tells } = await listen(kubernetes, { labelSelector: maps.selector })
  assert.deepEqual(new Set(told), new Set(names.map(name => `ADDED ${name}=1`)))
  const [{ object }] = changes as [KubernetesChange<ConfigMap>]
  assert.deepEqual([object.apiVersion, object.kind, object.metadata.namespace], ['v1', 'ConfigMap', namespace])
  assert.match(object.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT/)

  told.length = 0
  await maps.make('eight', '1')
  await maps.change('eight', '2')
  await maps.remove('one')
  await maps.remove('eight')
  await tells('DELETED eight=2')
  assert.deepEqual(told, ['ADDED eight=1', 'MODIFIED eight=2', 'DELETED one=1', 'DELETED eight=2'])

  await leave()
  await leave()
  await maps.change('two', '3')
  await clock.sleep(100)
  assert.equal(told.length, 4)
})

test('one namespace, one label, one field: nobody is told of what was not asked for', async t => {
  const { kubernetes } = await open(t, await findCluster(t))
  const maps = configMapsOf(t, kubernetes)
  await maps.make('one', '1')
  await maps.make('two', '1')
  const byName = await listen(kubernetes, { namespace, fieldSelector: `metadata.name=${maps.nameOf('one')}` })
  const elsewhere = await listen(kubernetes, { namespace: 'kube-public', labelSelector: maps.selector })
  assert.deepEqual([byName.told, elsewhere.told], [['ADDED one=1'], []])
  await maps.change('two', '2')
  await maps.change('one', '2')
  await byName.tells('MODIFIED one=2')
  assert.deepEqual([byName.told.length, elsewhere.told], [2, []])
})

test('what cannot be listed is told at once, as a call would be, and leaves nothing', async t => {
  const kubeconfig = await findCluster(t)
  const { kubernetes } = await open(t, kubeconfig)
  const watch = (target: KubernetesWatchTarget, on = kubernetes) => on.watch(target, () => undefined)
  await assert.rejects(watch({ path: '/api/v1/unheardof' }), NotFound)
  for (const wrong of ['configmaps', '/api/v1/namespaces/default/configmaps', '/apis/apps/deployments', '/version']) {
    await assert.rejects(watch({ path: wrong }), /is not the path of a resource such as \/api\/v1\/pods/)
  }
  const nobody = await open(t, await changeKubeconfig(t, kubeconfig, text => text.replace('{token:', '{as: nobody, token:')))
  await assert.rejects(watch({ path }, nobody.kubernetes), Forbidden)
  const absent = await open(t, undefined)
  await assert.rejects(watch({ path }, absent.kubernetes), ServiceUnavailable)
})

test('a handler that throws is logged and gets the next change; a slow one gets one at a time', async t => {
  const log: object[] = []
  const { kubernetes } = await open(t, await findCluster(t), log)
  const maps = configMapsOf(t, kubernetes)
  for (const name of ['one', 'two', 'three']) await maps.make(name, '1')
  let running = 0
  let calls = 0
  await kubernetes.watch({ path, labelSelector: maps.selector }, async () => {
    assert.equal(++running, 1)
    await clock.sleep(20)
    running--
    calls++
    throw new RangeError('a bad handler')
  })
  assert.equal(calls, 3)
  await maps.change('one', '2')
  await until(() => calls === 4)
  assert.match(JSON.stringify(log), /a watcher failed on a change/)
})

test('a watcher may leave from inside its handler, and is told nothing more', async t => {
  const { kubernetes } = await open(t, await findCluster(t))
  const maps = configMapsOf(t, kubernetes)
  let calls = 0
  const leave = await kubernetes.watch({ path, labelSelector: maps.selector }, async () => { calls++; await leave() })
  await Promise.all(['one', 'two', 'three'].map(name => maps.make(name, '1')))
  await until(() => calls > 0)
  await clock.sleep(100)
  assert.equal(calls, 1)
})

test('closing ends every watch and its connection', async t => {
  const standIn = await startStandIn(t)
  const { kubernetes, close } = await open(t, standIn.kubeconfig)
  for (let i = 0; i < 3; i++) await listen(kubernetes, {})
  const left = await listen(kubernetes, {})
  await until(() => standIn.store.watching === 4)
  await left.leave()
  await until(() => standIn.store.watching === 3)
  await close()
  await until(() => standIn.store.watching === 0)
  const { watches } = standIn
  await clock.sleep(1_000)
  assert.equal(standIn.watches, watches)
  await assert.rejects(listen(kubernetes, {}))
})

for (const how of ['end', 'reset', 'cut', 'gone'] as const) {
  test(`a watch that the server ${{ end: 'ends', reset: 'resets', cut: 'cuts in the midst of a line', gone: 'ends as too old' }[how]} resumes without a loss or a repeat`, async t => {
    const standIn = await startStandIn(t)
    const log: object[] = []
    const { kubernetes } = await open(t, standIn.kubeconfig, log)
    const maps = configMapsOf(t, kubernetes)
    for (const name of ['one', 'two']) await maps.make(name, '1')
    const { told } = await listen(kubernetes, {})
    const expected = ['ADDED one=1', 'ADDED two=1']
    for (let round = 0; round < 10; round++) {
      await until(() => standIn.store.watching === 1)
      standIn.endWatches(how)
      await maps.change('one', `${round}`)
      await maps.make(`new${round}`, '1')
      expected.push(`MODIFIED one=${round}`, `ADDED new${round}=1`)
      await until(() => told.length >= expected.length)
    }
    assert.deepEqual(told, expected)
    await until(() => standIn.store.watching === 1)
  })
}

test('after a version that the server forgot, the missed changes and deletions are delivered', async t => {
  const standIn = await startStandIn(t)
  const { kubernetes } = await open(t, standIn.kubeconfig)
  const maps = configMapsOf(t, kubernetes)
  for (const name of ['stays', 'changes', 'vanishes', 'again']) await maps.make(name, '1')
  const { told, changes } = await listen(kubernetes, {})
  await until(() => standIn.store.watching === 1)
  told.length = 0
  standIn.fault = { status: 503 }
  standIn.endWatches('reset')
  await until(() => standIn.store.watching === 0)
  standIn.fault = 'none'
  const { store } = standIn
  const keyOf = (name: string) => `configmaps/${namespace}/${maps.nameOf(name)}`
  const put = (name: string, a: string) => store.put(keyOf(name), namespace, { ...store.get(keyOf('stays')), metadata: { name: maps.nameOf(name) }, data: { a } } as never)
  put('changes', '2')
  put('comes', '1')
  store.remove(keyOf('again'))
  put('again', '2')
  store.remove(keyOf('vanishes'))
  store.compact()
  await until(() => told.length === 5)
  assert.deepEqual(told.toSorted(), ['ADDED again=2', 'ADDED comes=1', 'DELETED again=1', 'DELETED vanishes=1', 'MODIFIED changes=2'])
  assert.ok(told.indexOf('DELETED again=1') < told.indexOf('ADDED again=2'))
  assert.equal(new Set(changes.filter(({ object }) => object.metadata.name === maps.nameOf('again')).map(({ object }) => object.metadata.uid)).size, 2)
})

test('whatever the cluster answers to a list or a watch, the watcher resumes when it is well', async t => {
  const standIn = await startStandIn(t)
  const log: object[] = []
  const { kubernetes } = await open(t, standIn.kubeconfig, log)
  const maps = configMapsOf(t, kubernetes)
  await maps.make('one', '1')
  const { tells } = await listen(kubernetes, {})
  for (const [round, fault] of ([{ status: 500 }, { status: 403 }, { status: 429, headers: { 'retry-after': '1' } }, 'garbage', 'reset', 'cut'] as const).entries()) {
    await until(() => standIn.store.watching === 1)
    standIn.fault = fault
    standIn.endWatches('gone')
    await clock.sleep(300)
    standIn.fault = 'none'
    await maps.change('one', `after ${round}`)
    await tells(`MODIFIED one=after ${round}`)
  }
  assert.match(JSON.stringify(log), /a watch of the Kubernetes cluster broke; the host resumes it/)
})

test('a watch whose rounds end repeats nothing, and a dead one is noticed without any request', async t => {
  const standIn = await startStandIn(t)
  const straight = await open(t, standIn.kubeconfig)
  const proxy = await startProxy(t, standIn.port)
  const log: object[] = []
  const far = await open(t, await changeKubeconfig(t, standIn.kubeconfig, text => text.replace(`:${standIn.port}`, `:${proxy.port}`)), log, 1_000)
  const maps = configMapsOf(t, straight.kubernetes)
  await maps.make('one', '1')
  const { told, tells } = await listen(far.kubernetes, {})
  await until(() => standIn.watches >= 3)
  assert.deepEqual([told, standIn.lists, log], [['ADDED one=1'], 1, []])
  proxy.hold()
  await until(() => JSON.stringify(log).includes('a watch of the Kubernetes cluster broke'))
  await maps.change('one', '2')
  proxy.pass()
  await tells('MODIFIED one=2')
})

/** A cluster behind a proxy that is asked twice a second, as the host does. */
async function openBehindProxy (t: TestContext) {
  const kubeconfig = await findCluster(t)
  const straight = await open(t, kubeconfig)
  const port = Number(/:(\d+)$/.exec(straight.kubernetes.detail)?.[1])
  const proxy = await startProxy(t, port)
  const far = await open(t, await changeKubeconfig(t, kubeconfig, text => text.replace(`127.0.0.1:${port}`, `127.0.0.1:${proxy.port}`)))
  const asking = new AbortController()
  const checks = (async () => {
    while (!asking.signal.aborted) {
      await far.check(AbortSignal.timeout(1_000)).catch(() => { /* It is away. */ })
      await clock.sleep(500)
    }
  })()
  undo(t, async () => { asking.abort(); await checks })
  return { proxy, straight: straight.kubernetes, ...far }
}

async function refusal (asked: Promise<unknown>): Promise<number> {
  const from = performance.now()
  await assert.rejects(asked, ServiceUnavailable)
  return performance.now() - from
}

const rounds = process.env.BULKHEAD_LONG === '1' ? 30 : 3

test(`in ${rounds} outages calls fail within a second; calls and watches are back within another`, async t => {
  const { proxy, straight, kubernetes, check } = await openBehindProxy(t)
  const maps = configMapsOf(t, straight)
  await maps.make('one', '0')
  const { tells, told } = await listen(kubernetes, { labelSelector: maps.selector })
  const list = () => kubernetes.call(({ core }) => core.listNamespacedConfigMap({ namespace, labelSelector: maps.selector }))
  let slowestRefusalMs = 0
  let slowestLaterMs = 0
  let slowestCallMs = 0
  let slowestWatchMs = 0
  for (let round = 0; round < rounds; round++) {
    const isRefused = round % 3 === 2
    if (isRefused) await proxy.refuse()
    else proxy.hold()
    slowestRefusalMs = Math.max(slowestRefusalMs, ...await Promise.all([1, 2, 3].map(() => refusal(list()))))
    slowestLaterMs = Math.max(slowestLaterMs, await refusal(list()))
    await assert.rejects(check(AbortSignal.timeout(5_000)))
    await maps.change('one', `meanwhile ${round}`)
    await maps.make(`new${round}`, '1')
    await clock.sleep(round * 173 % 1_500)
    if (isRefused) await proxy.accept()
    else proxy.pass()
    if (round % 3 === 1) proxy.reset()
    const from = performance.now()
    await until(() => list().then(() => true, () => false))
    slowestCallMs = Math.max(slowestCallMs, performance.now() - from)
    await tells(`MODIFIED one=meanwhile ${round}`)
    await tells(`ADDED new${round}=1`)
    slowestWatchMs = Math.max(slowestWatchMs, performance.now() - from)
    await check(AbortSignal.timeout(5_000))
  }
  t.diagnostic(`503 after ${Math.round(slowestRefusalMs)} ms, later ones after ${Math.round(slowestLaterMs)} ms; ` +
    `calls back ${Math.round(slowestCallMs)} ms after the return, watches ${Math.round(slowestWatchMs)} ms, at worst`)
  assert.equal(told.length, 1 + 2 * rounds, 'nothing is told twice')
  assert.ok(slowestRefusalMs < 2_500 && slowestLaterMs < 500 && slowestCallMs < 2_500 && slowestWatchMs < 3_000)
})
