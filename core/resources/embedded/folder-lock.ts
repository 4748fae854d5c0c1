// Locks a folder for one live process at a time, with a file that names the process.

import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'

/**
 * Resolves to the function that releases the lock. Rejects when a live process holds the folder, and names that
 * process. The lock of a dead process is taken over.
 */
export async function lockFolder (folder: string, path: string): Promise<() => Promise<void>> {
  const mine = `${path}.${process.pid}`
  await writeFile(mine, await identify(process.pid))
  try {
    while (!await linked(mine, path)) {
      await refuseIfAlive(folder, path)
      // Two processes may find the same dead lock. The slower one may then move away the lock that the faster one has
      // just made, so it checks again and puts a live lock back.
      const aside = `${mine}.dead`
      try { await rename(path, aside) } catch (error) { if (isMissing(error)) continue; throw error }
      try {
        await refuseIfAlive(folder, aside)
      } catch (error) {
        await linked(aside, path)
        throw error
      } finally {
        await rm(aside, { force: true })
      }
    }
  } finally {
    await rm(mine, { force: true })
  }
  return () => rm(path, { force: true })
}

async function refuseIfAlive (folder: string, path: string): Promise<void> {
  const holder = await readFile(path, 'utf8').catch((error: unknown) => { if (isMissing(error)) return ''; throw error })
  const pid = Number.parseInt(holder)
  if (pid > 0 && holder === await identify(pid)) {
    throw new Error(`${folder} is in use by another host (process ${pid}). Stop that one, or give this one a data folder of its own (PLATFORM_DATA_PATH).`)
  }
}

async function linked (from: string, to: string): Promise<boolean> {
  try { await link(from, to); return true } catch (error) { if (codeOf(error) === 'EEXIST') return false; throw error }
}

// Another process may have got the same process ID since. Together with its start time (Linux), the ID identifies one
// process for good.
async function identify (pid: number): Promise<string> {
  if (!isAlive(pid)) return 'dead'
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return `${pid} ${stat.slice(stat.lastIndexOf(')')).split(' ')[20] ?? ''}\n`
}

export function isAlive (pid: number): boolean {
  try { process.kill(pid, 0); return true } catch (error) { return codeOf(error) === 'EPERM' }
}

export const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT'

const codeOf = (error: unknown) => error instanceof Error && 'code' in error ? error.code : undefined
