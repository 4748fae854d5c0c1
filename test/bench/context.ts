// What a test gets from its runner, for a measurement that uses the same supports: undone newest first when the work is over.

import type { TestContext } from 'node:test'

type Step = () => unknown

/** Only `after` is there. */
export async function withContext<T> (work: (t: TestContext) => Promise<T>): Promise<T> {
  const steps: Step[] = []
  try {
    return await work({ after: (step: Step) => { steps.push(step) } } as unknown as TestContext)
  } finally {
    for (const step of steps.reverse()) await step()
  }
}

/** The database server of a test run, for as long as the work takes. */
export async function withDatabaseServer<T> (work: (t: TestContext) => Promise<T>): Promise<T> {
  return withContext(async t => {
    const { start } = await import('../support/postgres-server.ts')
    const server = await start()
    t.after(() => server.stop())
    Object.assign(process.env, server.env)
    return work(t)
  })
}
