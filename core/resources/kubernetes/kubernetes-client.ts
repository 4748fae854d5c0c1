// Opens the Kubernetes cluster, if there is one. Its client library is large, so it is imported only in that case.

import { AsyncLocalStorage } from 'node:async_hooks'
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import type { KubeConfig, RequestContext, ResponseBody, SecurityAuthentication } from '@kubernetes/client-node'
import { withDeadline } from '../../concurrency/deadline.ts'
import { Forbidden, ServiceUnavailable } from '../../contract/index.ts'
import type { Kubernetes, KubernetesApis } from '../../contract/index.ts'
import type { OpenParts, Resource } from '../../handover/resource.ts'
import { Pulse } from '../pulse.ts'
import { isAnswer, isNoAnswer, mapKubernetesError, reasonOf } from './kubernetes-error.ts'
import { checkPath } from './kubernetes-path.ts'
import { Watches } from './kubernetes-watch.ts'

export interface KubernetesSettings {
  /** Path of a kubeconfig file. */
  kubeconfig: string | undefined
  /** True when the host runs in a pod. It then uses the cluster of that pod, with the mounted service account. */
  inCluster: boolean
  /** Time limit for one call; 5,000 by default. */
  deadlineMs?: number
  /** Time after which each watch is started again; 15,000 by default. */
  watchRoundMs?: number
  /** Root of the file system. Tests set it to use a service account of their own. */
  rootPath?: string
}

const tokenPath = 'var/run/secrets/kubernetes.io/serviceaccount/token'

/**
 * Resolves with a handle in the state `absent`, and the reason, when there is no cluster. A cluster that is configured
 * must answer: a missing or broken kubeconfig, refused credentials and a cluster that does not answer reject with what
 * to check.
 */
export async function openKubernetes (settings: KubernetesSettings, { signal, clock, log }: OpenParts): Promise<Resource<Kubernetes>> {
  const { kubeconfig, inCluster, deadlineMs = 5_000, watchRoundMs = 15_000, rootPath = '/' } = settings
  if (kubeconfig === undefined && !inCluster) return absent('KUBECONFIG names no cluster, and the host does not run in one')
  const path = kubeconfig ?? join(rootPath, tokenPath)
  if (kubeconfig === undefined && !await isReadable(path)) return absent(`the host runs in a cluster, but has no service account: there is no ${path}`)
  if (!await isReadable(path)) throw new Error(`KUBECONFIG names ${path}, which is not there or cannot be read. Fix the path, or leave KUBECONFIG empty.`)

  const client = await import('@kubernetes/client-node')
  const config = new client.KubeConfig()
  if (kubeconfig === undefined) config.loadFromCluster(rootPath === '/' ? '' : rootPath)
  else loadFile(config, kubeconfig)
  const server = config.getCurrentCluster()?.server
  if (server === undefined) {
    throw new Error(`The kubeconfig ${path} leads to no cluster: its current-context must name a context whose cluster and user are in it.`)
  }

  const connection = new Connection(config, () => pulse.beat())
  const baseServer = new client.ServerConfiguration(server, {})
  // The client creates every request here, before it sends any part of it, and normalises the path only afterwards. The
  // path is therefore checked here.
  const makeRequestContext = baseServer.makeRequestContext.bind(baseServer)
  baseServer.makeRequestContext = (endpoint, method) => {
    const [path = ''] = endpoint.split('?')
    checkPath(server, path)
    return makeRequestContext(endpoint, method)
  }
  const configuration = client.createConfiguration({
    baseServer,
    authMethods: { default: connection },
    promiseMiddleware: [connection]
  })
  const apis: KubernetesApis = {
    core: new client.CoreV1Api(configuration),
    apps: new client.AppsV1Api(configuration),
    batch: new client.BatchV1Api(configuration),
    custom: new client.CustomObjectsApi(configuration)
  }
  const version = new client.VersionApi(configuration)

  /** Returns the version, or undefined when the cluster does not let the host read it. */
  const ask = async (signal: AbortSignal): Promise<string | undefined> => {
    try {
      return (await connection.bounded(deadlineMs, () => version.getCode(), signal)).gitVersion
    } catch (cause) {
      signal.throwIfAborted()
      const error = mapKubernetesError(cause)
      if (error instanceof Forbidden) return undefined
      throw new Error(isAnswer(cause) && cause.code === 401
        ? `The Kubernetes cluster at ${server} refused the credentials in ${path}. Renew them.`
        : `The Kubernetes cluster at ${server} does not answer as it should: ${reasonOf(cause)}. Check ${path}, and that the cluster can be reached.`, { cause })
    }
  }

  // The time that a helper program takes to get credentials does not count as silence of the cluster.
  const pulse = new Pulse({ name: 'the Kubernetes cluster', clock, log, ask, hasHeard: () => connection.isSigning })
  /** Returns the body of an answer without waiting for its end, which the typed APIs cannot do. */
  const get = (path: string, signal: AbortSignal): Promise<ResponseBody> => connection.heeding(async () => {
    const context = baseServer.makeRequestContext(path, client.HttpMethod.GET)
    context.setHeaderParam('Accept', 'application/json')
    context.setSignal(signal)
    await connection.applySecurityAuthentication(context)
    const { httpStatusCode, headers, body } = await connection.post(await configuration.httpApi.send(context).toPromise())
    if (httpStatusCode !== 200) throw new client.ApiException(httpStatusCode, `The cluster answered ${httpStatusCode}.`, await body.text(), headers)
    return body
  })
  const watches = new Watches({ get, pulse, clock, log, deadlineMs, roundMs: watchRoundMs })

  const found = await ask(signal)
  return {
    value: {
      state: 'available',
      detail: `Kubernetes ${found ?? 'of unknown version'} at ${server}`,
      call: async (request, options = {}) => {
        pulse.begin()
        try {
          return await connection.bounded(options.deadlineMs ?? deadlineMs, () => request(apis), pulse.signal)
        } catch (error) {
          throw mapKubernetesError(error)
        } finally {
          pulse.end()
        }
      },
      watch: async (target, handler) => {
        try {
          return await watches.watch(target, handler)
        } catch (error) {
          throw error instanceof TypeError && error.cause === undefined ? error : mapKubernetesError(error)
        }
      }
    },
    check: signal => pulse.check(signal),
    close: async () => {
      watches.close()
      pulse.close()
      await connection.close()
    }
  }
}

/**
 * Creates the handle for a cluster that does not exist; `detail` says why. Every call rejects with
 * `ServiceUnavailable`.
 */
export function createAbsentKubernetes (detail: string): Kubernetes {
  const refuse = async (): Promise<never> => { throw new ServiceUnavailable('There is no Kubernetes cluster here.', { cause: new Error(detail) }) }
  return { state: 'absent', detail, call: refuse, watch: refuse }
}

const absent = (detail: string): Resource<Kubernetes> =>
  ({ value: createAbsentKubernetes(detail), check: async () => undefined, close: async () => undefined })

function loadFile (config: KubeConfig, path: string): void {
  try {
    config.loadFromFile(path)
  } catch (cause) {
    throw new Error(`KUBECONFIG names ${path}, which is not a kubeconfig: ${reasonOf(cause)}`, { cause })
  }
}

type Dispatcher = NonNullable<ReturnType<RequestContext['getDispatcher']>>

/**
 * Takes part in every request: signs it, gives it the signal of the call that it belongs to, and lets requests share
 * their sockets.
 */
class Connection implements SecurityAuthentication {
  readonly #config: KubeConfig
  readonly #onAnswer: () => void
  readonly #signals = new AsyncLocalStorage<AbortSignal>()
  #dispatcher: Dispatcher | undefined
  #signing = 0

  constructor (config: KubeConfig, onAnswer: () => void) {
    this.#config = config
    this.#onAnswer = onAnswer
  }

  /** Cancels the requests of `work` when the deadline passes or `outer` aborts. */
  bounded<T> (deadlineMs: number, work: () => Promise<T>, outer?: AbortSignal): Promise<T> {
    return this.heeding(() => withDeadline(deadlineMs, signal => this.#signals.run(signal, work), outer))
  }

  /** When `work` fails because the cluster did not answer, later requests no longer use the same sockets. */
  async heeding<T> (work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      // The credentials may have been renewed on disk, but a socket keeps the credentials that it was opened with.
      if (isNoAnswer(error) || (isAnswer(error) && error.code === 401)) this.#renew()
      throw error
    }
  }

  get isSigning (): boolean {
    return this.#signing > 0
  }

  getName (): string {
    return this.#config.getName()
  }

  async applySecurityAuthentication (context: RequestContext): Promise<void> {
    this.#signing++
    await this.#config.applySecurityAuthentication(context).finally(() => { this.#signing-- })
    // The client creates a new pool for every request, and each pool costs a new TLS handshake. The first pool is used
    // for all requests.
    this.#dispatcher ??= context.getDispatcher()
    if (this.#dispatcher !== undefined) context.setDispatcher(this.#dispatcher)
  }

  async pre (context: RequestContext): Promise<RequestContext> {
    const signal = this.#signals.getStore()
    if (signal !== undefined) context.setSignal(signal)
    return context
  }

  async post<R> (response: R): Promise<R> {
    this.#onAnswer()
    return response
  }

  /** Requests that are under way finish on the old sockets. */
  #renew (): void {
    this.#dispatcher?.close().catch(() => undefined)
    this.#dispatcher = undefined
  }

  async close (): Promise<void> {
    await this.#dispatcher?.destroy()
  }
}

async function isReadable (path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(() => true, () => false)
}
