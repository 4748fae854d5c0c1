// What code makes without its scope is counted as its plugin's, by name and place, for as long as it is there.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { test } from 'node:test'
import { trackLeaks, runAs } from '../../../core/plugin-runtime/index.ts'
import { until } from '../../support/until.ts'
import { createOwner } from '../fixture.ts'

test('timers, servers, sockets and listeners of the process, until they are gone', async (t) => {
  t.after(trackLeaks())
  const owner = createOwner('leaks')
  const listener = (): void => undefined
  const made = runAs(owner, () => ({
    timeout: setTimeout(() => undefined, 60_000),
    interval: setInterval(() => undefined, 60_000),
    server: createServer(socket => socket.resume()).listen(0, '127.0.0.1'),
    listener: process.on('SIGUSR2', listener)
  }))
  await once(made.server, 'listening')
  const address = made.server.address() as { port: number }
  const socket = runAs(owner, () => connect(address.port, '127.0.0.1'))
  await once(socket, 'connect')
  const names = owner.account.names().join('\n')
  for (const form of [
    /timer \(a setTimeout\)/,
    /timer \(a setInterval at test\/plugin-runtime\/ownership\/leak-tracker\.test\.ts:\d+\)/, /other \(a TCP server/, /connection \(a TCP socket\)/,
    /listener \(process\.on\("SIGUSR2"\) at test\/plugin-runtime\/ownership\/leak-tracker\.test\.ts:\d+\)/
  ]) assert.match(names, form)

  clearTimeout(made.timeout)
  clearInterval(made.interval)
  process.off('SIGUSR2', listener)
  socket.destroy()
  made.server.close()
  await until(() => owner.account.names().length === 0)
})

test('what nobody owns is not counted, and what another makes is another\'s', (t) => {
  t.after(trackLeaks())
  const [one, two] = [createOwner('one'), createOwner('two')]
  const timers = [setTimeout(() => undefined, 60_000), runAs(one, () => runAs(two, () => setTimeout(() => undefined, 60_000)))]
  assert.deepEqual([one.account.names(), two.account.names()], [[], ['timer (a setTimeout)']])
  for (const timer of timers) clearTimeout(timer)
})
