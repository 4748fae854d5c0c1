// `node core/main.js` under a Node that is too old: hands over to the one that npm installed, or says what is missing.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { temporaryFolder } from '../support/host.ts'

const root = join(import.meta.dirname, '../..')

function versionOf (node: string): string | undefined {
  try {
    return execFileSync(node, ['--version'], { encoding: 'utf8', timeout: 5_000 }).trim()
  } catch {
    return undefined // No Node there.
  }
}
const oldNode = ['/usr/bin/node', '/usr/local/bin/node'].find(node => /^v2[0-3]\./.test(versionOf(node) ?? ''))
const options = { concurrency: true, skip: oldNode === undefined ? 'needs a Node of version 20 to 23 in /usr/bin or /usr/local/bin' : false }

/** A project with this main.js, and a cli/main.ts that tells what it got: how it was called, then each signal. */
async function createProject (t: TestContext, { installed }: { installed: boolean }): Promise<string> {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'core/cli'), { recursive: true })
  await cp(join(root, 'core/main.js'), join(folder, 'core/main.js'))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await writeFile(join(folder, 'core/cli/main.ts'), `
    export async function main (argv: string[]): Promise<void> {
      const [how, what] = argv
      if (how === 'exit') process.exit(Number(what))
      if (how === 'die') process.kill(process.pid, what)
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) process.on(signal, () => console.log(signal))
      process.stdin.on('data', () => process.exit(0))
      console.log(process.version, ...argv)
    }`)
  if (installed) await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

interface Started {
  child: ReturnType<typeof spawn>
  output: () => string
  ended: Promise<number | NodeJS.Signals>
  says: (text: string) => Promise<void>
}

/** Runs main.js under the old Node. */
function start (t: TestContext, folder: string, args: string[]): Started {
  const child = spawn(oldNode ?? '', [join(folder, 'core/main.js'), ...args], { stdio: 'pipe' })
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { output += chunk.toString() })
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  const says = async (text: string): Promise<void> => {
    const signal = AbortSignal.timeout(15_000)
    while (!output.includes(text)) await once(child.stdout, 'data', { signal })
  }
  return { child, output: () => output, ended, says }
}

void suite('main.js under an older Node', options, () => {
  test('runs the same command under the Node in node_modules and ends with its exit code', async (t) => {
    const folder = await createProject(t, { installed: true })
    const { child, output, ended, says } = start(t, folder, ['settings', 'a b'])
    await says('settings a b')
    assert.match(output(), /^v24\.\d+\.\d+ settings a b\n$/)
    child.stdin?.write('end\n')
    assert.equal(await ended, 0)
    assert.equal(await start(t, folder, ['exit', '5']).ended, 5)
  })

  test('passes each signal on once', async (t) => {
    const { child, output, ended, says } = start(t, await createProject(t, { installed: true }), ['wait'])
    await says('wait')
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'] as const) {
      child.kill(signal)
      await says(`${signal}\n`)
    }
    child.stdin?.write('end\n')
    assert.equal(await ended, 0)
    assert.deepEqual(output().trim().split('\n').slice(1), ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'])
  })

  test('ends by the signal that ended the host', async (t) => {
    assert.equal(await start(t, await createProject(t, { installed: true }), ['die', 'SIGKILL']).ended, 'SIGKILL')
  })

  test('says in one line what is missing when there is no such Node', async (t) => {
    const { output, ended } = start(t, await createProject(t, { installed: false }), [])
    assert.equal(await ended, 1)
    assert.match(output(), /^Bulkhead needs Node 24\.12 or newer, this is v2\d\..*: run npm ci, or install Node 24\.\n$/)
  })
})
