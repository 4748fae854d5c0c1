// Undoes what a test has set up, newest first; `t.after` alone goes the other way, and would take away what is still in use.

import type { TestContext } from 'node:test'

type Step = () => unknown

const steps = new WeakMap<TestContext, Step[]>()

export function undo (t: TestContext, step: Step): void {
  const known = steps.get(t)
  if (known !== undefined) {
    known.push(step)
    return
  }
  const own = [step]
  steps.set(t, own)
  t.after(async () => { for (const next of own.reverse()) await next() })
}
