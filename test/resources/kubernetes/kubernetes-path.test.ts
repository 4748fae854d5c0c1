// A name leads to no other object: every method of the client with every parameter of its path, and watches; also on a real Kubernetes API.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { BadRequest } from '../../../core/contract/index.ts'
import type { Kubernetes, KubernetesApis } from '../../../core/contract/index.ts'
import { openKubernetes } from '../../../core/resources/kubernetes/kubernetes-client.ts'
import { checkPath } from '../../../core/resources/kubernetes/kubernetes-path.ts'
import { changeKubeconfig, findCluster, startStandIn, type StandIn } from '../../support/kubernetes-server.ts'
import { openParts } from '../../support/part.ts'

async function open (t: TestContext, kubeconfig: string): Promise<Kubernetes> {
  const resource = await openKubernetes({ kubeconfig, inCluster: false }, openParts())
  t.after(() => resource.close())
  return resource.value
}

const wrongNames = ['', '.', '..', '../..', '../../victim', 'web/log', '/', '//evil.example', '\\', '..\\..', '%2e%2e', '%2E', '.%2e', '%2f', 'a%2Fb', 'a\u0000b', 'a\nb', '..\t', '\u007f', 'x\ud800']

type Call = (parameters: Record<string, unknown>) => Promise<unknown>
const groups = ['core', 'apps', 'batch', 'custom'] as const

/** Each method, with what it takes. */
function methodsOf (apis: KubernetesApis): { name: string, call: Call, parameters: string[] }[] {
  return groups.flatMap(group => {
    const api = apis[group] as unknown as Record<string, Call>
    return Object.getOwnPropertyNames(Object.getPrototypeOf(api)).filter(name => name !== 'constructor' && isTried(name)).map(name => ({
      name: `${group}.${name}`,
      call: parameters => api[name]?.(parameters) ?? assert.fail(name),
      parameters: [...new Set([...String(api[name]).matchAll(/param\.(\w+)/g)].map(([, parameter = '']) => parameter))]
    }))
  })
}

/** Without the question whether the cluster answers, which comes at any time. */
const asked = ({ paths }: StandIn): readonly string[] => paths.filter(path => path !== '/version')

const marker = (parameter: string): string => `own-${parameter.toLowerCase()}-0`

const given: Readonly<Record<string, unknown>> = { body: { metadata: { name: 'web' } }, watch: false }
/** Those that give the whole answer are the same below. */
const isTried = (name: string): boolean => process.env.BULKHEAD_LONG === '1' || !name.endsWith('WithHttpInfo')

test('no method of any group sends a request when a parameter of its path leads elsewhere', async t => {
  const standIn = await startStandIn(t)
  const kubernetes = await open(t, standIn.kubeconfig)
  let methods: ReturnType<typeof methodsOf> = []
  await kubernetes.call(async apis => { methods = methodsOf(apis) })
  assert.ok(methods.length > 300, `${methods.length} methods`)
  const read = new Set<string>()
  for (const { name, call, parameters } of methods) {
    const fine = Object.fromEntries(parameters.map(parameter => [parameter, given[parameter] ?? marker(parameter)]))
    const sent = asked(standIn).length
    await kubernetes.call(() => call(fine)).catch(() => { /* The stand-in has no such object. */ })
    assert.equal(asked(standIn).length, sent + 1, name)
    const path = asked(standIn).at(-1) ?? ''
    const inPath = parameters.filter(parameter => path.split('/').includes(marker(parameter)))
    for (const parameter of inPath) read.add(parameter)
    for (const parameter of inPath) {
      for (const wrong of parameter === 'path' ? ['', '.', '..', '../x', 'a/../../b', 'a/%2e%2e/b', '..\\x'] : wrongNames) {
        await assert.rejects(kubernetes.call(() => call({ ...fine, [parameter]: wrong })), BadRequest, `${name} with ${parameter} ${JSON.stringify(wrong)}`)
      }
    }
    assert.equal(asked(standIn).length, sent + 1, name)
  }
  assert.deepEqual([...read].sort(), ['group', 'name', 'namespace', 'path', 'plural', 'resourcePlural', 'version'])
})

test('no watch sends a request when its path or namespace leads elsewhere', async t => {
  const standIn = await startStandIn(t)
  const kubernetes = await open(t, standIn.kubeconfig)
  const before = asked(standIn).length
  for (const namespace of wrongNames) {
    await assert.rejects(kubernetes.watch({ path: '/api/v1/configmaps', namespace }, () => undefined), BadRequest, JSON.stringify(namespace))
  }
  const paths = [
    '/api/v1/..', '/api/v1/.', '/apis/../v1/pods', '/apis/./v1/pods', '/apis/apps/v1/..', '/api/v1/%2e%2e', '/api/v1//pods',
    '/api/v1/pods/../secrets', '/api/v1/pods?x', '/api/v1/pods#', '//evil/api/v1/pods'
  ]
  for (const path of paths) {
    for (const namespace of [undefined, 'default']) {
      const watching = kubernetes.watch({ path, ...namespace !== undefined && { namespace } }, () => undefined)
      await assert.rejects(watching, /cannot be in the path|is not the path of a resource/, path)
    }
  }
  assert.equal(asked(standIn).length, before)
})

test('an empty name or one of dots deletes neither the namespace nor the objects beside it', async t => {
  const kubernetes = await open(t, await findCluster(t))
  const victim = `victim-${randomUUID().slice(0, 8)}`
  await kubernetes.call(({ core }) => core.createNamespace({ body: { metadata: { name: victim } } }))
  await kubernetes.call(({ core }) => core.createNamespacedConfigMap({ namespace: victim, body: { metadata: { name: 'kept' } } }))
  for (const name of ['..', '.', '', '../configmaps']) {
    await assert.rejects(kubernetes.call(({ core }) => core.deleteNamespacedConfigMap({ namespace: victim, name })), (error: unknown) => {
      assert.ok(error instanceof BadRequest)
      assert.ok(error.message.startsWith(`${JSON.stringify(name)} cannot be in the path of a Kubernetes object`), error.message)
      return true
    })
  }
  await assert.rejects(kubernetes.call(({ core }) => core.deleteCollectionNamespacedPod({ namespace: `${victim}/configmaps/kept` })), BadRequest)
  assert.equal((await kubernetes.call(({ core }) => core.readNamespace({ name: victim }))).metadata?.deletionTimestamp, undefined)
  assert.equal((await kubernetes.call(({ core }) => core.readNamespacedConfigMap({ namespace: victim, name: 'kept' }))).metadata?.name, 'kept')
  await kubernetes.call(({ core }) => core.deleteNamespace({ name: victim }))
})

test('names that Kubernetes allows arrive as they are, below a server with a path of its own too', async t => {
  const standIn = await startStandIn(t)
  const kubeconfig = await changeKubeconfig(t, standIn.kubeconfig, text => text.replace(`:${standIn.port}`, `:${standIn.port}/k8s/clusters/one`))
  for (const server of ['https://cluster', 'https://cluster:6443', 'https://cluster/k8s/clusters/one']) {
    for (const name of ['web', 'web.example.com', 'a..b', '...', 'system:node:1', '~', 'x'.repeat(253)]) {
      checkPath(server, `/api/v1/namespaces/default/configmaps/${encodeURIComponent(name)}`)
    }
    checkPath(server, `/api/v1/namespaces/default/pods/web/proxy/${encodeURIComponent('metrics/a b?c')}`)
    checkPath(server, '/version')
  }
  // The stand-in has nothing below another path, so opening fails, but after the right request.
  await assert.rejects(open(t, kubeconfig))
  assert.equal(standIn.paths.at(-1), '/k8s/clusters/one/version')
})
