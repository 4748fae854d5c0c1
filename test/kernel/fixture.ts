// A kernel on a clock that the test moves, and units with the rest filled in.

import { createKernel, type Change, type RootKernel, type State, type StepReport, type StopReport, type UnitDefinition, type UnitSnapshot } from '../../core/kernel/index.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'

export interface House {
  readonly kernel: RootKernel
  readonly clock: FakeClock
  readonly changes: Change[]
  /** Each undo step that ended, with its unit. */
  readonly steps: (StepReport & { unit: string })[]
  /** What happened, with the milliseconds since the beginning: `120 postgres opened`. */
  readonly journal: string[]
  readonly write: (line: string) => void
  /** A unit that opens for `opensMs`, heeding its signal, and then closes for `closesMs` when it is undone. */
  readonly unit: (id: string, facts?: Partial<UnitDefinition> & { opensMs?: number, closesMs?: number }) => UnitDefinition
  readonly state: (id: string) => State | undefined
  readonly reason: (id: string) => string | undefined
  /** Stops the kernel, letting time pass until it has. */
  readonly stop: () => Promise<StopReport>
}

export function createHouse (): House {
  const clock = createFakeClock()
  const beganAt = clock.now()
  const changes: Change[] = []
  const steps: (StepReport & { unit: string })[] = []
  const journal: string[] = []
  const write = (line: string): void => { journal.push(`${clock.now() - beganAt} ${line}`) }
  const kernel = createKernel({
    clock, onChange: change => changes.push(change), onStep: (unit, step) => steps.push({ unit, ...step })
  })
  const find = (id: string): UnitSnapshot | undefined => kernel.units().find(unit => unit.id === id)
  return {
    kernel, clock, changes, steps, journal, write,
    unit: (id, { opensMs = 10, closesMs = 1, ...facts } = {}) => ({
      id, kind: 'plugin', needs: [], required: false, startBudgetMs: 10_000, stopBudgetMs: 5_000,
      start: async ({ signal, undo }) => {
        write(`${id} opens`)
        await clock.sleep(opensMs, signal)
        write(`${id} opened`)
        undo('close', async () => {
          write(`${id} closes`)
          await clock.sleep(closesMs)
          write(`${id} closed`)
        })
      },
      ...facts
    }),
    state: id => find(id)?.state,
    reason: id => find(id)?.reason,
    stop: async () => {
      const stopped = kernel.stop('test', { budgetMs: 1_000 })
      await clock.runAll()
      return stopped
    }
  }
}

/** Never settles and heeds nothing. */
export const hangs = (): Promise<never> => new Promise(() => undefined)
