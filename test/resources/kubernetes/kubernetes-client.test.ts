// The cluster as a plugin sees it: on a real Kubernetes API where there is one, and on a stand-in for what one does not do on demand.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { V1ConfigMap } from '@kubernetes/client-node'
import { BadGateway, Conflict, Forbidden, NotFound, ServiceUnavailable, TooManyRequests } from '../../../core/contract/index.ts'
import type { Kubernetes } from '../../../core/contract/index.ts'
import type { Resource } from '../../../core/handover/resource.ts'
import { openKubernetes } from '../../../core/resources/kubernetes/kubernetes-client.ts'
import type { KubernetesSettings } from '../../../core/resources/kubernetes/kubernetes-client.ts'
import { temporaryFolder } from '../../support/host.ts'
import { changeKubeconfig, findCluster, startStandIn } from '../../support/kubernetes-server.ts'
import type { Fault } from '../../support/kubernetes-server.ts'
import { openParts } from '../../support/part.ts'
import { freePort } from '../../support/process.ts'
import { until } from '../../support/until.ts'

const imported = new Set<string>()
registerHooks({ resolve: (specifier, context, next) => { imported.add(specifier); return next(specifier, context) } })

const open = async (t: TestContext, settings: Partial<KubernetesSettings>): Promise<Resource<Kubernetes>> => {
  const resource = await openKubernetes({ kubeconfig: undefined, inCluster: false, ...settings }, openParts())
  t.after(() => resource.close())
  return resource
}

test('without a cluster the handle says why, calls get 503, and the client is not loaded', async t => {
  const { value, check } = await open(t, {})
  assert.equal(value.state, 'absent')
  assert.match(value.detail, /KUBECONFIG names no cluster/)
  await assert.rejects(value.call(apis => apis.core.listNamespace()), ServiceUnavailable)
  await check(new AbortController().signal)
  const inPod = await open(t, { inCluster: true, rootPath: await temporaryFolder(t) })
  assert.equal(inPod.value.state, 'absent')
  assert.match(inPod.value.detail, /no service account: there is no .*\/token/)
  assert.ok(!imported.has('@kubernetes/client-node'))
})

test('a kubeconfig that is not there, is malformed or leads nowhere is named', async t => {
  const folder = await temporaryFolder(t)
  const texts: Record<string, [string, RegExp]> = {
    yaml: ['a: [b', /which is not a kubeconfig/],
    text: ['hello', /leads to no cluster/],
    empty: ['', /not a kubeconfig|leads to no cluster/],
    context: ['apiVersion: v1\nclusters: []\nusers: []\ncontexts: []\ncurrent-context: gone\n', /leads to no cluster: its current-context/]
  }
  for (const [name, [text, message]] of Object.entries(texts)) {
    const kubeconfig = join(folder, name)
    await writeFile(kubeconfig, text)
    await assert.rejects(open(t, { kubeconfig }), (error: unknown) => {
      assert.ok(error instanceof Error)
      assert.match(error.message, message)
      assert.ok(error.message.includes(kubeconfig))
      return true
    })
  }
  await assert.rejects(open(t, { kubeconfig: join(folder, 'missing') }), /KUBECONFIG names .*\/missing, which is not there/)
})

test('objects are made, read, listed and removed, and what the cluster refuses has its own error', async t => {
  const kubeconfig = await findCluster(t)
  const { value, check } = await open(t, { kubeconfig })
  assert.equal(value.state, 'available')
  assert.match(value.detail, /^Kubernetes v1\..* at https:\/\/127\.0\.0\.1:\d+$/)
  await check(new AbortController().signal)

  const namespace = 'default'
  const name = `test-${randomUUID()}`

  const body: V1ConfigMap = { metadata: { name }, data: { a: '1' } }
  const make = () => value.call(({ core }) => core.createNamespacedConfigMap({ namespace, body }))
  const read = () => value.call(({ core }) => core.readNamespacedConfigMap({ namespace, name }))
  await assert.rejects(read(), NotFound)
  await make()
  await assert.rejects(make(), Conflict)
  assert.deepEqual((await read()).data, { a: '1' })
  const { items } = await value.call(({ core }) => core.listNamespacedConfigMap({ namespace }))
  assert.equal(items.filter(item => item.metadata?.name === name).length, 1)
  await value.call(({ core }) => core.deleteNamespacedConfigMap({ namespace, name }))
  await assert.rejects(read(), NotFound)
})

test('who has no right in the cluster is answered 403', async t => {
  const kubeconfig = await changeKubeconfig(t, await findCluster(t), text => text.replace('{token:', '{as: nobody, token:'))
  const { value } = await open(t, { kubeconfig })
  await assert.rejects(value.call(({ core }) => core.listNamespacedConfigMap({ namespace: 'default' })), Forbidden)
})

test('credentials that the cluster refuses end the opening and name the file, not the token', async t => {
  const kubeconfig = await changeKubeconfig(t, await findCluster(t), text => text.replace(/token: [\w-]+/, 'token: hunter2'))
  await assert.rejects(open(t, { kubeconfig }), (error: unknown) => {
    assert.ok(error instanceof Error)
    assert.match(error.message, /refused the credentials in .*kubeconfig\. Renew them\./)
    assert.doesNotMatch(error.message, /hunter2/)
    return true
  })
})

test('a cluster that is silent or has another certificate ends the opening with where to look', async t => {
  const standIn = await startStandIn(t)
  const other = await startStandIn(t)
  const nobody = await freePort()
  const away = await changeKubeconfig(t, standIn.kubeconfig, text => text.replace(`:${standIn.port}`, `:${nobody}`))
  await assert.rejects(open(t, { kubeconfig: away }), new RegExp(`https://127.0.0.1:${nobody} does not answer as it should: .*ECONNREFUSED.*Check .*kubeconfig`))
  const impostor = await changeKubeconfig(t, standIn.kubeconfig, text => text.replace(`:${standIn.port}`, `:${other.port}`))
  await assert.rejects(open(t, { kubeconfig: impostor }), /does not answer as it should: .*certificate/)
  standIn.fault = 'silence'
  await assert.rejects(open(t, { kubeconfig: standIn.kubeconfig, deadlineMs: 50 }), /no answer within 50 ms/)
})

test('every fault of a cluster has its error, and the next call works again', async t => {
  const standIn = await startStandIn(t)
  const { value, check } = await open(t, { kubeconfig: standIn.kubeconfig, deadlineMs: 200 })
  const list = () => value.call(({ core }) => core.listNamespacedConfigMap({ namespace: 'default' }))
  const faults: [Fault, new (...parts: never[]) => Error][] = [
    ['silence', ServiceUnavailable], ['reset', ServiceUnavailable], ['cut', ServiceUnavailable], ['garbage', BadGateway],
    [{ status: 401 }, BadGateway], [{ status: 403 }, Forbidden], [{ status: 404 }, NotFound], [{ status: 409 }, Conflict],
    [{ status: 422 }, BadGateway], [{ status: 500 }, BadGateway]
  ]
  for (const [fault, kind] of faults) {
    standIn.fault = fault
    await assert.rejects(list(), (error: unknown) => {
      assert.ok(error instanceof kind, `${JSON.stringify(fault)} gave ${String(error)}`)
      assert.doesNotMatch(error.message, /127\.0\.0\.1/)
      return true
    })
    standIn.fault = 'none'
    assert.deepEqual((await list()).items, [])
  }
  standIn.fault = { status: 429, headers: { 'retry-after': '7' } }
  await assert.rejects(list(), (error: unknown) => error instanceof TooManyRequests && error.retryAfterMs === 7_000)
  standIn.fault = { status: 500 }
  await assert.rejects(check(new AbortController().signal), /does not answer as it should: it answered 500/)
})

test('a call past its deadline is cancelled at the server, not only given up', async t => {
  const standIn = await startStandIn(t)
  const { value } = await open(t, { kubeconfig: standIn.kubeconfig })
  standIn.fault = 'silence'
  await assert.rejects(value.call(({ core }) => core.listNamespace(), { deadlineMs: 50 }), ServiceUnavailable)
  await until(() => standIn.cancelled === 1)
})

test('a check ends when it is told to', async t => {
  const standIn = await startStandIn(t)
  const { check } = await open(t, { kubeconfig: standIn.kubeconfig })
  standIn.fault = 'silence'
  const stop = new AbortController()
  const checking = check(stop.signal)
  const reason = new Error('the host is stopping')
  stop.abort(reason)
  await assert.rejects(checking, reason)
})

test('calls share their connections', async t => {
  const standIn = await startStandIn(t)
  const { value } = await open(t, { kubeconfig: standIn.kubeconfig })
  for (let i = 0; i < 10; i++) await value.call(({ core }) => core.listNamespace())
  // A socket may still be busy with the end of one answer when the next call comes.
  assert.ok(standIn.connections <= 2, `${standIn.connections} connections for 11 calls`)
})

test('an error of the catalogue passes through a call as it is', async t => {
  const standIn = await startStandIn(t)
  const { value } = await open(t, { kubeconfig: standIn.kubeconfig })
  const error = new Conflict('The plugin says so.')
  await assert.rejects(value.call(async () => { throw error }), error)
})

test('a helper program that takes long to get credentials is not taken for a silent cluster', async t => {
  const standIn = await startStandIn(t)
  const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token: standIn.token, expirationTimestamp: '2000-01-01T00:00:00Z' } }
  const exec = JSON.stringify({ apiVersion: credential.apiVersion, command: 'sh', args: ['-c', `sleep 1.2; echo '${JSON.stringify(credential)}'`] })
  const kubeconfig = await changeKubeconfig(t, standIn.kubeconfig, text => text.replace(/token: [\w-]+/, `exec: ${exec}`))
  const { value } = await open(t, { kubeconfig })
  await Promise.all([1, 2].map(() => value.call(apis => apis.core.listNamespace())))
})

test('in a pod the cluster is found by the service account', async t => {
  const standIn = await startStandIn(t)
  const rootPath = await temporaryFolder(t)
  const account = join(rootPath, 'var/run/secrets/kubernetes.io/serviceaccount/token')
  await mkdir(dirname(account), { recursive: true })
  await writeFile(account, standIn.token)
  await writeFile(join(dirname(account), 'ca.crt'), standIn.authority)
  process.env.KUBERNETES_SERVICE_HOST = '127.0.0.1'
  process.env.KUBERNETES_SERVICE_PORT = String(standIn.port)
  const { value } = await open(t, { inCluster: true, rootPath })
  assert.equal(value.detail, `Kubernetes v1.0.0-stand-in at https://127.0.0.1:${standIn.port}`)
  await value.call(({ core }) => core.listNamespace())
})
