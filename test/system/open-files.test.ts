// A host that may have few files open: idle connections lock nobody out, neither from the API nor from the probes, and the log says so.

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'

/** Not `once` of node:events, which rejects when the host resets the connection. */
const seen = (socket: Socket, event: string): Promise<void> => new Promise(resolve => { socket.once(event, () => resolve()) })

/** Connections that send `text` and then nothing more; all of them are idle, or closed by the host, when it resolves. */
async function occupy (t: TestContext, url: string, count: number, text: string): Promise<Socket[]> {
  const { hostname, port } = new URL(url)
  const sockets = Array.from({ length: count }, () => connect(Number(port), hostname).on('error', () => { /* Closed by the host: that is what is shown. */ }))
  t.after(() => { for (const socket of sockets) socket.destroy() })
  await Promise.all(sockets.map(async socket => {
    await Promise.race([seen(socket, 'connect'), seen(socket, 'close')])
    socket.resume()
    if (text === '' || socket.destroyed) return
    socket.write(text)
    if (text.endsWith('\r\n\r\n')) await Promise.race([seen(socket, 'data'), seen(socket, 'close')])
  }))
  return sockets
}

/** In a connection of its own: one that is kept may be closed for another's sake just as it is used again. */
const status = async (url: string): Promise<number> =>
  (await fetch(url, { headers: { connection: 'close' }, signal: AbortSignal.timeout(60_000) })).status

test('with 220 files and 400 idle connections to each port probes and requests are answered', async (t) => {
  const env = { DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t) }
  const host = startHost(t, env, [], { openFilesMax: 220 })
  const { url, probesUrl } = await host.ready()
  const low = await host.line(({ openFilesMax }) => openFilesMax === 220)
  assert.match(low.msg, /may have only 220 files open, so it serves at most \d+ connections at a time .* Raise the limit: "ulimit -n 65536"/)
  const max = Number(low['maxConnections'])
  assert.ok(max >= 50 && max < 220 - 60, `${max}`)

  for (const text of ['', 'GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ', 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n']) {
    await Promise.all([occupy(t, url, 400, text), occupy(t, probesUrl, 400, text)])
    for (let round = 0; round < 3; round++) {
      const asked = [`${probesUrl}/live`, `${probesUrl}/ready`, `${url}/healthz`, `${url}/api/auth/me`]
      for (const path of asked) assert.equal(await status(path), path.endsWith('/me') ? 401 : 200, path)
    }
    const open = (await readdir(`/proc/${host.pid}/fd`)).length
    assert.ok(open < 200, `${open} files are open`)
  }

  for (const port of ['the API', 'the probes']) {
    const told = await host.line(line => line['port'] === port && Number(line['closedIdle']) > 0)
    assert.ok(Number(told['closedIdle']) + Number(told['refused']) >= 400 - max, told.msg)
    assert.match(told.msg, new RegExp(`^\\d+ connections to ${port} were closed, as at most \\d+ are open at a time: `))
    // One line a minute, whatever came since.
    assert.equal(host.lines().filter(line => line['port'] === port).length, 1)
  }
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})
