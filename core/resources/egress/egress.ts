// The guarded `fetch` of plugins: it resolves a name once, checks the addresses, and connects to one of the checked
// addresses.

import { lookup as resolve } from 'node:dns/promises'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { Agent, buildConnector, fetch } from 'undici'
import { DeadlinePassed, withDeadline } from '../../concurrency/deadline.ts'
import { AddressRefused, DeadlineExceeded, FetchFailed, type GuardedAnswer, type GuardedFetch } from '../../contract/index.ts'
import { createAddressRules, type AddressRules, type EgressException } from './address.ts'
import { followTo, isRedirect, readRequest, readTerms, type EgressRequest, type EgressTerms } from './egress-request.ts'

export interface EgressSettings {
  readonly allow: readonly EgressException[]
  /** Returns every address of a name; the system's resolver by default. */
  readonly lookup?: (name: string) => Promise<readonly string[]>
}

const redirectsMax = 5
/**
 * Time limit for one address when a name has several. Node's own 250 ms is too short for a server on the other side of
 * the world.
 */
const attemptMs = 1_000

export function createEgress ({ allow, lookup = resolveBySystem }: EgressSettings): GuardedFetch {
  const rules = createAddressRules(allow)

  const ask = async (request: EgressRequest, terms: EgressTerms, signal: AbortSignal): Promise<GuardedAnswer> => {
    for (let hops = 0; ; hops += 1) {
      const answer = await askOnce(request, terms, { rules, lookup, signal })
      const location = isRedirect(answer.status) ? answer.headers.get('location') : null
      if (location === null || terms.redirect === 'manual') return answer
      if (terms.redirect === 'error') throw new FetchFailed(`${request.url.host} answered with a redirect (${answer.status}), which was not to be followed.`)
      if (hops === redirectsMax) throw new FetchFailed(`${request.url.host} redirects once more, after ${redirectsMax} redirects.`)
      request = followTo(location, answer.status, request)
    }
  }
  return async (url, options = {}) => {
    const request = readRequest(url, options)
    const terms = readTerms(options)
    const { host } = request.url
    try {
      return await withDeadline(terms.totalMs, signal => ask(request, terms, signal), options.signal ?? undefined)
    } catch (error) {
      if (error instanceof DeadlinePassed) throw new DeadlineExceeded(`${host} had not answered in full within ${terms.totalMs} ms.`, { cause: error })
      throw error
    }
  }
}

interface Way {
  readonly rules: AddressRules
  readonly lookup: NonNullable<EgressSettings['lookup']>
  readonly signal: AbortSignal
}

/**
 * Sends the request over its own connection and closes it afterwards, so that no connection outlives the check of its
 * address.
 */
async function askOnce ({ url, ...request }: EgressRequest, { connectMs, maxBytes }: EgressTerms, way: Way): Promise<GuardedAnswer> {
  const { connect, end } = createConnector(connectMs, way)
  const agent = new Agent({ connect, maxHeaderSize: 16_384 })
  const { signal } = way
  try {
    request.headers.set('connection', 'close')
    if (!request.headers.has('user-agent')) request.headers.set('user-agent', 'bulkhead')
    const { status, headers, body } = await fetch(url, {
      ...request, headers: [...request.headers], body: request.body ?? null, dispatcher: agent, redirect: 'manual', signal
    })
    return createAnswer(status, new Headers([...headers]), await read(body, maxBytes, url.host))
  } catch (error) {
    signal.throwIfAborted()
    throw explain(error, url.host)
  } finally {
    await agent.destroy()
    end()
  }
}

/** Unwraps the error that undici has wrapped, because only the inner error says what happened. */
function explain (error: unknown, host: string): Error {
  const cause = error instanceof TypeError && error.cause !== undefined ? error.cause : error
  for (const kind of [AddressRefused, DeadlineExceeded, FetchFailed]) if (cause instanceof kind) return cause
  const { message, code } = cause as NodeJS.ErrnoException
  return new FetchFailed(`${host} gave no answer: ${message === '' ? code ?? 'the connection failed' : message}`, { cause })
}

/** The connector also returns the socket before it is connected, which undici's type omits. */
type Connect = (...args: Parameters<buildConnector.connector>) => Socket

interface Connector {
  readonly connect: buildConnector.connector
  /** Destroys every socket that the connector has opened. */
  readonly end: () => void
}

function createConnector (connectMs: number, { rules, lookup, signal }: Way): Connector {
  const sockets = new Set<Socket>()
  const open = async (target: buildConnector.Options, connecting: AbortSignal): Promise<Socket> => {
    const { hostname, protocol, port } = target
    const portNumber = Number(port === '' ? protocol === 'https:' ? 443 : 80 : port)
    const addresses = await findAllowed(hostname, portNumber, rules, lookup)
    // After the abort, no code would close a socket that is opened now.
    connecting.throwIfAborted()
    const known = addresses.map(address => ({ address, family: isIP(address) }))
    const answer: LookupFunction = (_name, { all }, callback) => {
      if (all === true) callback(null, known)
      else callback(null, known[0]?.address ?? '', known[0]?.family)
    }
    // The timer of undici's own connect timeout is coarse, so that timeout is off; `connect` below sets the deadline.
    const connectTo = buildConnector({
      timeout: 0, allowH2: false, maxCachedSessions: 0, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: attemptMs, lookup: answer
    }) as Connect
    const socket = await new Promise<Socket>((resolve, reject) => {
      sockets.add(connectTo(target, (...[error, opened]) => {
        if (error === null) resolve(opened)
        else reject(error)
      }))
    })
    // The connected address is checked again, so that it does not matter how and how often the name was resolved. A
    // socket that has closed again has no address and carries no data.
    const { remoteAddress } = socket
    if (remoteAddress !== undefined && !rules.isHostAllowed(hostname, portNumber) && !rules.isAllowed(remoteAddress, portNumber)) {
      throw new AddressRefused(`${hostname} led to ${remoteAddress}, which plugins may not reach.`)
    }
    return socket
  }
  return {
    connect: (target, callback) => {
      withDeadline(connectMs, connecting => open(target, connecting), signal).then(
        socket => callback(null, socket),
        (error: unknown) => callback(error instanceof DeadlinePassed
          ? new DeadlineExceeded(`There was no connection to ${target.hostname} within ${connectMs} ms.`, { cause: error })
          : error as Error, null))
    },
    end: () => { for (const socket of sockets) socket.destroy() }
  }
}

/** Returns the addresses of the host that plugins may reach. Throws `AddressRefused` when none is left. */
async function findAllowed (hostname: string, port: number, rules: AddressRules, lookup: Way['lookup']): Promise<readonly string[]> {
  // Some resolvers treat a name with a trailing dot as the same name, others as another one; the same holds for
  // certificates.
  if (hostname.endsWith('.')) throw new AddressRefused(`${hostname} ends in a dot; write the name without it.`)
  const addresses = isIP(hostname) !== 0 ? [hostname] : /(?:^|\.)localhost$/.test(hostname) ? ['127.0.0.1', '::1'] : await lookup(hostname)
  const allowed = rules.isHostAllowed(hostname, port) ? addresses : addresses.filter(address => rules.isAllowed(address, port))
  if (allowed.length > 0) return allowed
  const where = isIP(hostname) === 0 ? ` (${addresses.join(', ') || 'no address'})` : ''
  throw new AddressRefused(`Plugins may not reach ${hostname}${where} on port ${port}; PLATFORM_EGRESS_ALLOW names exceptions.`)
}

const resolveBySystem = async (name: string): Promise<readonly string[]> => (await resolve(name, { all: true, order: 'verbatim' })).map(({ address }) => address)

const firstBytes = 16 * 1024

/**
 * Counts the bytes after decompression. Copies them, so that an answer in chunks of one byte takes no more memory than
 * any other.
 */
async function read (body: AsyncIterable<Uint8Array> | null, maxBytes: number, host: string): Promise<Buffer> {
  let bytes = Buffer.alloc(0)
  let length = 0
  for await (const chunk of body ?? []) {
    const needed = length + chunk.byteLength
    if (needed > maxBytes) throw new FetchFailed(`${host} answered with more than ${maxBytes} bytes.`)
    if (needed > bytes.length) {
      const larger = Buffer.allocUnsafe(Math.min(Math.max(needed, bytes.length * 2, firstBytes), maxBytes))
      bytes.copy(larger, 0, 0, length)
      bytes = larger
    }
    bytes.set(chunk, length)
    length = needed
  }
  return bytes.subarray(0, length)
}

function createAnswer (status: number, headers: Headers, body: Buffer): GuardedAnswer {
  const text = (): string => new TextDecoder().decode(body)
  return { status, headers, body, text, json: () => JSON.parse(text()) as unknown }
}
