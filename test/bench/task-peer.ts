// What every queue under measure shares: the same payload, and what it is asked to do, by the parent on the channel it opened.

import { setTimeout as sleep } from 'node:timers/promises'

export interface Payload { readonly at: number, readonly to: string }

/** What the parent says of the run. */
export const [, , url = '', setting = '', concurrencyText = ''] = process.argv
export const concurrency = Number(concurrencyText)
/** To the database, for each of them. */
export const connections = 10

export interface TaskPeer {
  send (payload: Payload): Promise<unknown>
  /** Begins to work; `handle` is to be called for each job. Resolves once it works, with how to end, which waits for what runs. */
  work (handle: (payload: Payload) => void): Promise<() => Promise<unknown>>
}

export type Question = { readonly kind: 'throughput', readonly jobs: number } | { readonly kind: 'latency', readonly jobs: number }
export interface Answer {
  readonly sentPerSecond?: number
  readonly jobsPerSecond?: number
  readonly cpuUsPerJob?: number
  readonly latenciesMs?: readonly number[]
}

const payloadOf = (at: number): Payload => ({ at, to: 'someone@example.org' })
const sendersMax = 50

const cpuUs = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** How fast so many jobs are sent, and, once all of them wait, worked. */
async function throughput (peer: TaskPeer, jobs: number): Promise<Answer> {
  const sentAt = performance.now()
  let next = 0
  await Promise.all(Array.from({ length: sendersMax }, async () => { while (next < jobs) await peer.send(payloadOf(next++)) }))
  const sentPerSecond = jobs / (performance.now() - sentAt) * 1_000

  const all = Promise.withResolvers<number>()
  const seen = new Set<number>()
  let [firstAt, firstCpu] = [0, 0]
  const stop = await peer.work(({ at }) => {
    if (seen.size === 0) [firstAt, firstCpu] = [performance.now(), cpuUs()]
    seen.add(at)
    if (seen.size === jobs) all.resolve(performance.now() - firstAt)
  })
  const tookMs = await all.promise
  const cpuUsPerJob = (cpuUs() - firstCpu) / jobs
  await stop()
  return { sentPerSecond, jobsPerSecond: jobs / tookMs * 1_000, cpuUsPerJob }
}

/** From the call that sends to the handler, one job at a time, in a queue that has nothing else to do. */
async function latency (peer: TaskPeer, jobs: number): Promise<Answer> {
  const begun = new Map<number, PromiseWithResolvers<number>>()
  const stop = await peer.work(({ at }) => { begun.get(at)?.resolve(performance.now()) })
  const latenciesMs: number[] = []
  // The first finds what is slow only once.
  for (let at = 0; at < jobs + 10; at += 1) {
    await sleep(5 + Math.random() * 10)
    const begins = Promise.withResolvers<number>()
    begun.set(at, begins)
    const sentAt = performance.now()
    await peer.send(payloadOf(at))
    const tookMs = await begins.promise - sentAt
    if (at >= 10) latenciesMs.push(tookMs)
  }
  await stop()
  return { latenciesMs }
}

export function serve (peer: TaskPeer): void {
  process.on('message', (question: Question) => {
    void (question.kind === 'throughput' ? throughput(peer, question.jobs) : latency(peer, question.jobs)).then(answer => process.send?.(answer))
  })
  process.once('disconnect', () => process.exit(0))
  process.send?.('ready')
}
