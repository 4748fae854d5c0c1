// Checks the Node version, then runs the command. This file is JavaScript that Node 20 can read, because an old Node
// must run it to report its version.

import { spawn, spawnSync } from 'node:child_process'
import module from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** @param {string} version such as `v24.12.0` */
const isNewEnough = version => {
  const [major = 0, minor = 0] = version.replace('v', '').split('.').map(Number)
  return major > 24 || (major === 24 && minor >= 12)
}

if (isNewEnough(process.version)) {
  module.enableCompileCache(join(root, 'node_modules/.cache/node'))
  const { main } = await import('./cli/main.ts')
  await main(process.argv.slice(2))
} else {
  const node = findNode()
  if (node === undefined) {
    console.error(`Bulkhead needs Node 24.12 or newer, this is ${process.version}, and node_modules holds no other: run npm ci, or install Node 24.`)
    process.exit(1)
  }
  handOver(node)
}

/** Finds a Node that is new enough in node_modules, where the optional dependencies install one. */
function findNode () {
  const places = ['.bin/node', `node-${process.platform}-${process.arch}/bin/node`]
  return places.map(place => join(root, 'node_modules', place))
    .find(path => isNewEnough(String(spawnSync(path, ['--version'], { timeout: 10_000 }).stdout)))
}

/**
 * Runs the same command under the other Node and exits with its exit code or signal. The child stays in this process
 * group, so a terminal's Ctrl-C reaches it twice, as it does under npm and timeout(1). The host treats signals that
 * arrive together as one.
 * @param {string} node
 */
function handOver (node) {
  const child = spawn(node, [...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' })
  /** @type {NodeJS.Signals[]} */
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']
  for (const signal of signals) process.on(signal, () => child.kill(signal))
  child.on('error', error => {
    console.error(`${node} could not be run: ${error.message}. Run npm ci to have it installed again.`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
