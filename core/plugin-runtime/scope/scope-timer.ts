// A plugin's own clock, timers and listeners: callbacks run as the plugin's code, and none of them outlives the plugin.

import { pause } from '../../concurrency/loop.ts'
import type { Clock, Listen, Timers } from '../../contract/index.ts'
import type { Fence } from '../ownership/fence.ts'
import { bindTo, runAs, type Owner } from '../ownership/owner.ts'

interface TimersDeps {
  readonly clock: Clock
  readonly fence: Fence
  readonly owner: Owner
  /** Called with an error that the plugin's code threw and no caller caught. */
  readonly onFault: (thrown: unknown) => void
}

/** The end of the plugin ends every sleep on this clock. */
export function createClock ({ clock, fence, owner }: Omit<TimersDeps, 'onFault'>): Clock {
  return {
    now: () => clock.now(),
    sleep: async (ms, signal) => {
      fence.check()
      const ended = new AbortController()
      const forget = fence.onEnd(error => ended.abort(error))
      const woken = owner.account.open('timers', `clock.sleep(${ms})`)
      try {
        await runAs(undefined, () => clock.sleep(ms, signal === undefined ? ended.signal : AbortSignal.any([ended.signal, signal])))
      } finally {
        forget()
        woken()
      }
    }
  }
}

export function createTimers ({ clock, fence, owner, onFault }: TimersDeps): Timers {
  const run = async (work: () => void | Promise<void>): Promise<void> => {
    try {
      await runAs(owner, async () => work())
    } catch (thrown) {
      onFault(thrown)
    }
  }
  /** `pass` resolves with true when the time has passed, and with false when the timer was cancelled first. */
  const open = (name: string, wait: (pass: (ms: number) => Promise<boolean>, close: () => void) => Promise<void>): () => void => {
    fence.check()
    const cancelled = new AbortController()
    const cancel = (): void => { close(); cancelled.abort() }
    const close = owner.account.open('timers', name, cancel)
    void runAs(undefined, wait, (ms: number) => pause(clock, ms, cancelled.signal), close)
    return cancel
  }
  return {
    after: (ms, work) => open(`timers.after(${ms})`, async (pass, close) => {
      if (!await pass(ms)) return
      close()
      await run(work)
    }),
    every: (ms, work) => open(`timers.every(${ms})`, async pass => {
      while (await pass(ms)) await run(work)
    })
  }
}

export function createListen ({ fence, owner }: Pick<TimersDeps, 'fence' | 'owner'>): Listen {
  return (emitter, event, listener) => {
    fence.check()
    const own = bindTo(owner, (...args: unknown[]) => { if (!fence.hasEnded) listener(...args as never[]) })
    const leave = (): void => {
      left()
      emitter.off(event, own)
    }
    const left = owner.account.open('listeners', `listen("${String(event)}")`, leave)
    // The host adds the listener, because the account has already counted it.
    runAs(undefined, () => emitter.on(event, own))
    return leave
  }
}
