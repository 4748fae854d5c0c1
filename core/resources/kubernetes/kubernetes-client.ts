// The cluster, if there is one. Its client is large, so it is imported only then.

import { AsyncLocalStorage } from 'node:async_hooks'
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import type { KubeConfig, RequestContext, ResponseBody, SecurityAuthentication } from '@kubernetes/client-node'
import { withDeadline } from '../../concurrency/deadline.ts'
import { Forbidden, ServiceUnavailable } from '../../contract/index.ts'
import type { Kubernetes, KubernetesApis, OpenParts, Resource } from '../../contract/index.ts'
import { Pulse } from '../pulse.ts'
import { isAnswer, isNoAnswer, mapKubernetesError, reasonOf } from './kubernetes-error.ts'
import { checkPath } from './kubernetes-path.ts'
import { Watches } from './kubernetes-watch.ts'

export interface KubernetesSettings {
  /** The path of a kubeconfig file. */
  kubeconfig: string | undefined
  /** The host runs in a pod: the cluster is its own, found by the service account that is mounted. */
  inCluster: boolean
  /** 5,000 unless said. */
  deadlineMs?: number
  /** After how long each watch begins anew; 15,000 unless said. */
  watchRoundMs?: number
  /** Where the file system begins: a test has a service account of its own. */
  rootPath?: string
}

const tokenPath = 'var/run/secrets/kubernetes.io/serviceaccount/token'

/**
 * Absent is a state, said in words. Where a cluster is named it must answer: a missing or broken kubeconfig, refused credentials and a cluster
 * that does not answer reject with what to look at.
 */
export async function openKubernetes (settings: KubernetesSettings, { signal, clock, log }: OpenParts): Promise<Resource<Kubernetes>> {
  const { kubeconfig, inCluster, deadlineMs = 5_000, watchRoundMs = 15_000, rootPath = '/' } = settings
  if (kubeconfig === undefined && !inCluster) return absent('KUBECONFIG names no cluster, and the host does not run in one')
  const path = kubeconfig ?? join(rootPath, tokenPath)
  if (kubeconfig === undefined && !await isReadable(path)) return absent(`the host runs in a cluster, but has no service account: there is no ${path}`)
  if (!await isReadable(path)) throw new Error(`KUBECONFIG names ${path}, which is not there or cannot be read. Mend the path, or leave KUBECONFIG empty.`)

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
  // Every request is made here, before anything of it is sent, and from here on its path is normalised.
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

  /** The version, or undefined for a cluster that tells it to nobody. */
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

  // What a helper program takes to get credentials is not the cluster's silence.
  const pulse = new Pulse({ name: 'the Kubernetes cluster', clock, log, ask, hasHeard: () => connection.isSigning })
  /** What the typed APIs cannot do: an answer whose end is not waited for. */
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

/** A cluster that is not there; `detail` says why. */
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
    throw new Error(`KUBECONFIG names ${path}, which is no kubeconfig: ${reasonOf(cause)}`, { cause })
  }
}

type Dispatcher = NonNullable<ReturnType<RequestContext['getDispatcher']>>

/** Sits in every request: signs it, gives it the signal of the call it belongs to, and lets requests share their sockets. */
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

  /** Cancels what `work` requests when the time is up. */
  bounded<T> (deadlineMs: number, work: () => Promise<T>, outer?: AbortSignal): Promise<T> {
    return this.heeding(() => withDeadline(deadlineMs, signal => this.#signals.run(signal, work), outer))
  }

  /** What fails for want of an answer fails on sockets that are not used again. */
  async heeding<T> (work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      // The credentials may have been renewed on disk, and sockets are opened with those they began with.
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
    // The client makes a new pool for every request, which is a new TLS handshake each; the first is kept for all.
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

  /** Requests under way finish on the old sockets. */
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
