// The way out for plugins, on real servers: where it does not go, whatever names, redirects and answers try, and how long and how much it takes.

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { suite, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { AddressRefused, DeadlineExceeded, FetchFailed } from '../../../core/contract/index.ts'
import { createEgress, type EgressSettings } from '../../../core/resources/egress/egress.ts'
import { createCertificate } from '../../support/certificate.ts'
import { undo } from '../../support/undo.ts'

interface Received { readonly url: string, readonly method: string, readonly headers: IncomingMessage['headers'], readonly body: string, readonly to: string }

interface Receiver { readonly port: number, readonly received: Received[], readonly connections: () => number }

/** Remembers what it was asked, and then answers. */
async function receive (t: TestContext, answer: RequestListener, { host = '127.0.0.1', tls }: { host?: string, tls?: { key: string, cert: string } } = {}): Promise<Receiver> {
  const received: Received[] = []
  let connections = 0
  const listener: RequestListener = (req, res) => {
    let body = ''
    req.on('data', (chunk: Buffer) => { body += chunk.toString() }).on('end', () => {
      received.push({ url: req.url ?? '', method: req.method ?? '', headers: req.headers, body, to: req.socket.localAddress ?? '' })
      answer(req, res)
    })
  }
  const server: Server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener)
  server.on('connection', () => { connections++ }).listen(0, host)
  await once(server, 'listening')
  undo(t, () => { server.close(); server.closeAllConnections() })
  return { port: (server.address() as AddressInfo).port, received, connections: () => connections }
}

/** A name server that gives its n-th answer to its n-th question, and the last one from then on. */
async function nameServer (t: TestContext, answers: readonly (readonly string[])[]): Promise<{ lookup: NonNullable<EgressSettings['lookup']>, asked: () => number }> {
  const socket = createSocket('udp4')
  let asked = 0
  socket.on('message', (question, { port, address }) => {
    const addresses = answers[Math.min(asked++, answers.length - 1)] ?? []
    const end = question.indexOf(0, 12) + 5
    const header = Buffer.from([question[0] ?? 0, question[1] ?? 0, 0x84, 0, 0, 1, 0, addresses.length, 0, 0, 0, 0])
    const records = addresses.map(text => Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...text.split('.').map(Number)]))
    socket.send(Buffer.concat([header, question.subarray(12, end), ...records]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  undo(t, () => socket.close())
  const resolver = new Resolver()
  resolver.setServers([`127.0.0.1:${socket.address().port}`])
  return { lookup: name => resolver.resolve4(name), asked: () => asked }
}

const loopback = [{ host: '127.0.0.1' }]
const open = createEgress({ allow: loopback })
const closed = createEgress({ allow: [] })

suite('guarded fetch', { concurrency: true }, () => {
  test('asks, and gives the whole of the answer', async (t) => {
    const { port, received } = await receive(t, (_req, res) => {
      res.writeHead(418, { 'x-a': '1', 'set-cookie': ['a=1', 'b=2'] }).end('{"é":1}')
    })
    const answer = await open(`http://127.0.0.1:${port}/p?q=1#f`, { method: 'post', headers: { 'X-Signature': 'sha256=1', 'content-type': 'application/json' }, body: '{}' })
    assert.deepEqual([answer.status, answer.headers.get('x-a'), answer.headers.getSetCookie(), answer.json(), answer.text(), answer.body.byteLength], [418, '1', ['a=1', 'b=2'], { é: 1 }, '{"é":1}', 8])
    const [first] = received
    assert.deepEqual([first?.url, first?.method, first?.body, ...['x-signature', 'content-length', 'host', 'connection'].map(name => first?.headers[name])],
      ['/p?q=1', 'POST', '{}', 'sha256=1', '2', `127.0.0.1:${port}`, 'close'])
    const bytes = await open(new URL(`http://127.0.0.1:${port}`), { method: 'PUT', body: new Uint8Array([97, 98]) })
    assert.deepEqual([bytes.status, received[1]?.body], [418, 'ab'])
  })

  test('does not go to addresses of this machine and its network, however they are written', async (t) => {
    const { port, connections } = await receive(t, (_req, res) => { res.end('inside') }, { host: '0.0.0.0' })
    for (const host of [
      '127.0.0.1', '127.1', '0x7f.1', '2130706433', '0177.0.0.1', '0x7f000001', '127.0.0.1.', '１２７.0.0.1', '0', '0.0.0.0', '[::]', '[::1]', '[::ffff:127.0.0.1]', '[::127.0.0.1]',
      '[64:ff9b::7f00:1]', '[2002:7f00:1::]', 'localhost', 'LOCALHOST', 'localhost.', 'a.localhost', 'example.org.', '169.254.169.254', '[fd00:ec2::254]', '10.0.0.1', '100.100.100.200'
    ]) {
      await assert.rejects(closed(`http://${host}:${port}/`), (error: Error) => error instanceof AddressRefused && error.message.includes(new URL(`http://${host}`).hostname.replace(/[[\]]/g, '')), host)
    }
    assert.equal(connections(), 0)
  })

  test('an exception of the operator is a way in, for localhost too, but only for its port', async (t) => {
    const { port } = await receive(t, (_req, res) => { res.end('inside') })
    assert.equal((await open(`http://localhost:${port}/`)).text(), 'inside')
    const onePort = createEgress({ allow: [{ host: '127.0.0.1', port }] })
    assert.equal((await onePort(`http://127.0.0.1:${port}/`)).text(), 'inside')
    await assert.rejects(onePort(`http://127.0.0.1:${port === 1 ? 2 : port - 1}/`), AddressRefused)
    const named = createEgress({ allow: [{ host: 'mirror.internal' }], lookup: async () => ['127.0.0.1'] })
    assert.equal((await named(`http://mirror.internal:${port}/`)).text(), 'inside')
    await assert.rejects(createEgress({ allow: [], lookup: async () => ['127.0.0.1'] })(`http://mirror.internal:${port}/`), /^AddressRefused: Plugins may not reach mirror\.internal \(127\.0\.0\.1\) on port \d+; PLATFORM_EGRESS_ALLOW names exceptions\.$/)
  })

  test('a name that later resolves to another address leads only to the address that was checked', async (t) => {
    // 127.0.0.2 stands for a public address, 127.0.0.1 for one inside.
    const { port, received } = await receive(t, (_req, res) => { res.end('outside') }, { host: '0.0.0.0' })
    const dns = await nameServer(t, [['127.0.0.2'], ['127.0.0.1']])
    const egress = createEgress({ allow: [{ host: '127.0.0.2' }], lookup: dns.lookup })
    assert.equal((await egress(`http://rebinding.example:${port}/`)).text(), 'outside')
    assert.deepEqual([dns.asked(), received.map(({ to, headers }) => [to, headers.host])], [1, [['127.0.0.2', `rebinding.example:${port}`]]])
    await assert.rejects(egress(`http://rebinding.example:${port}/`), AddressRefused)
    assert.deepEqual([dns.asked(), received.length], [2, 1], 'no connection is used again')
  })

  test('of several addresses those that are refused are left out', async (t) => {
    const { port, received } = await receive(t, (_req, res) => { res.end() }, { host: '0.0.0.0' })
    const mixed = createEgress({ allow: [{ host: '127.0.0.2' }], lookup: (await nameServer(t, [['127.0.0.1', '10.0.0.1', '127.0.0.2']])).lookup })
    await mixed(`http://mixed.example:${port}/`)
    assert.deepEqual(received.map(({ to }) => to), ['127.0.0.2'])
    const none = createEgress({ allow: [], lookup: (await nameServer(t, [['127.0.0.1', '10.0.0.1']])).lookup })
    await assert.rejects(none(`http://mixed.example:${port}/`), /Plugins may not reach mixed\.example \(127\.0\.0\.1, 10\.0\.0\.1\) on port \d+/)
  })

  test('a redirect is an error unless said, and is checked like the first address', async (t) => {
    const inside = await receive(t, (_req, res) => { res.end('inside') }, { host: '127.0.0.3' })
    const { port, received } = await receive(t, (req, res) => {
      const [, status = '302', to = ''] = /^\/(\d+)\/(.*)$/.exec(req.url ?? '') ?? []
      if (req.url === '/end') res.end(`${req.method ?? ''} ended`)
      else res.writeHead(Number(status), to === 'nowhere' ? {} : { location: decodeURIComponent(to) }).end()
    })
    const base = `http://127.0.0.1:${port}`
    const to = (url: string, status = 302): string => `${base}/${status}/${encodeURIComponent(url)}`
    await assert.rejects(open(to('/end')), (error: Error) => error instanceof FetchFailed && error.message.includes('redirect (302)'))
    assert.equal((await open(to('/end'), { redirect: 'manual' })).headers.get('location'), '/end')
    const follow = { redirect: 'follow' } as const
    assert.equal((await open(to('/end'), follow)).text(), 'GET ended')
    assert.equal((await open(`${base}/302/nowhere`, follow)).status, 302)
    assert.equal((await open(to('/end', 307), { ...follow, method: 'POST', body: 'x' })).text(), 'POST ended')
    assert.equal(received.at(-1)?.body, 'x')
    assert.equal((await open(to('/end', 303), { ...follow, method: 'PUT', body: 'x', headers: { 'content-type': 'text/plain' } })).text(), 'GET ended')
    assert.deepEqual([received.at(-1)?.body, received.at(-1)?.headers['content-type']], ['', undefined])
    for (const target of [`http://127.0.0.3:${inside.port}/`, `http://0x7f.3:${inside.port}/`, `http://169.254.169.254/latest/meta-data`]) await assert.rejects(open(to(target), follow), AddressRefused, target)
    await assert.rejects(open(to('file:///etc/passwd'), follow), TypeError)
    await assert.rejects(open(to('http://user:pw@127.0.0.1/'), follow), TypeError)
    assert.equal(inside.connections(), 0)
    let chain = '/end'
    for (let hops = 0; hops < 5; hops++) chain = to(chain)
    assert.equal((await open(chain, follow)).status, 200)
    await assert.rejects(open(to(chain), follow), /after 5 redirects/)
  })

  test('what signs a caller in goes to no other origin, and no redirect leads from https to http', async (t) => {
    const tls = createCertificate()
    setDefaultCACertificates([...getCACertificates(), tls.cert])
    const other = await receive(t, (_req, res) => { res.end('other') })
    const plain = await receive(t, (_req, res) => { res.writeHead(302, { location: `http://127.0.0.1:${other.port}/` }).end() })
    const headers = { authorization: 'Bearer x', cookie: 'a=1', 'x-kept': '1' }
    assert.equal((await open(`http://127.0.0.1:${plain.port}/`, { redirect: 'follow', headers })).text(), 'other')
    assert.equal(plain.received[0]?.headers.authorization, 'Bearer x')
    assert.deepEqual(Object.keys(headers).map(name => other.received[0]?.headers[name]), [undefined, undefined, '1'])

    const secure = await receive(t, (req, res) => {
      if (req.url === '/end') res.end('secure')
      else res.writeHead(302, { location: req.url === '/same' ? '/end' : `http://127.0.0.1:${other.port}/` }).end()
    }, { tls })
    const base = `https://127.0.0.1:${secure.port}`
    assert.equal((await open(`${base}/same`, { redirect: 'follow', headers })).text(), 'secure')
    assert.equal(secure.received.at(-1)?.headers.authorization, 'Bearer x', 'to the same origin it does')
    await assert.rejects(open(`${base}/down`, { redirect: 'follow' }), /redirects from https to http/)
    assert.equal(other.received.length, 1)
    await assert.rejects(createEgress({ allow: [{ host: 'other.example' }], lookup: async () => ['127.0.0.1'] })(`https://other.example:${secure.port}/end`),
      (error: Error) => error instanceof FetchFailed && /other\.example:\d+ gave no answer: .*altnames/.test(error.message), 'the certificate is checked against the name')
  })

  test('has a deadline to connect, and one for all of it', async (t) => {
    // Takes connections and says nothing: for https that is a connection that never comes about.
    const mute = createTcpServer(() => undefined).listen(0, '127.0.0.1')
    await once(mute, 'listening')
    undo(t, () => { mute.close() })
    const { port } = mute.address() as AddressInfo
    const late = (error: Error): boolean => error instanceof DeadlineExceeded
    await assert.rejects(open(`https://127.0.0.1:${port}/`, { connectTimeout: '50ms' }), (error: Error) => late(error) && error.message.includes('no connection'))
    await assert.rejects(open(`http://127.0.0.1:${port}/`, { timeout: 50 }), (error: Error) => late(error) && error.message.includes('within 50 ms'))
    const never = createEgress({ allow: [], lookup: () => new Promise(() => undefined) })
    await assert.rejects(never('http://slow.example/', { connectTimeout: 50 }), late)
    const drip = await receive(t, (_req, res) => {
      const timer = setInterval(() => res.write('x'), 10)
      res.on('close', () => clearInterval(timer))
    })
    await assert.rejects(open(`http://127.0.0.1:${drip.port}/`, { timeout: '100ms' }), late, 'an answer that drips')
    const stop = new AbortController()
    const asked = open(`http://127.0.0.1:${port}/`, { signal: stop.signal })
    stop.abort(new Error('enough'))
    await assert.rejects(asked, /^Error: enough$/)
  })

  test('takes so many bytes and no more, unpacked', async (t) => {
    const zeros = Buffer.alloc(50_000_000)
    const bombs: Record<string, Buffer> = { gzip: gzipSync(zeros), br: brotliCompressSync(zeros), 'gzip, gzip': gzipSync(gzipSync(zeros)) }
    const { port } = await receive(t, (req, res) => {
      const packing = decodeURIComponent((req.url ?? '').slice(1))
      if (packing === 'endless') {
        const write = (): void => { while (!res.destroyed && res.write(zeros.subarray(0, 65_536))) { /* until it is full */ } }
        res.on('drain', write)
        write()
      } else if (packing === 'small') res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('unpacked'))
      else res.writeHead(200, { 'content-encoding': packing }).end(bombs[packing])
    })
    const base = `http://127.0.0.1:${port}`
    assert.equal((await open(`${base}/small`, { maxBytes: 8 })).text(), 'unpacked')
    await assert.rejects(open(`${base}/small`, { maxBytes: 7 }), /answered with more than 7 bytes/)
    await assert.rejects(open(`${base}/endless`), (error: Error) => error instanceof FetchFailed && error.message.includes('more than 1000000 bytes'))
    for (const packing of Object.keys(bombs)) {
      const before = process.memoryUsage().arrayBuffers
      await assert.rejects(open(`${base}/${encodeURIComponent(packing)}`), /more than 1000000 bytes/, packing)
      assert.ok(process.memoryUsage().arrayBuffers - before < 30_000_000, packing)
    }
  })

  test('what cannot be asked is refused before anything is sent', async (t) => {
    const { port, connections } = await receive(t, (_req, res) => { res.end() })
    const url = `http://127.0.0.1:${port}/`
    const wrong: [string, Parameters<typeof open>[1]?][] = [
      ['ftp://127.0.0.1/'], ['file:///etc/passwd'], ['data:text/plain,x'], ['/relative'], [`http://user:pw@127.0.0.1:${port}/`], [`http://user@127.0.0.1:${port}/`],
      [url, { headers: { host: 'other.example' } }], [url, { headers: { 'Transfer-Encoding': 'chunked' } }], [url, { headers: { 'content-length': '3' } }], [url, { headers: { connection: 'x-a' } }],
      [url, { headers: { 'x-a': 'a\r\nx-b: b' } }], [url, { headers: { 'x-a\r\nx-b': 'b' } }], [url, { headers: { 'x-a': 'a\0b' } }], [url, { method: 'GET / HTTP/1.1\r\n' }], [url, { method: 'CONNECT' }],
      [url, { method: 'TRACE' }], [url, { body: 'x' }], [url, { timeout: 'soon' as '1s' }], [url, { connectTimeout: 0 }], [url, { maxBytes: -1 }], [url, { redirect: 'always' as 'follow' }]
    ]
    for (const [at, options] of wrong) await assert.rejects(open(at, options), TypeError, JSON.stringify([at, options]))
    assert.equal(connections(), 0)
    const crlf = await receive(t, (_req, res) => { res.end() })
    await open(`http://127.0.0.1:${crlf.port}/a\r\nx-injected: 1/%0d%0ax-injected: 2`, { headers: { 'x-a': 'a\r\n' } })
    assert.deepEqual([crlf.received[0]?.headers['x-injected'], crlf.received[0]?.headers['x-a']], [undefined, 'a'])
  })

  test('a server that breaks off is told as that, and no proxy of the environment is asked', async (t) => {
    const gone = await receive(t, req => { req.socket.destroy() })
    await assert.rejects(open(`http://127.0.0.1:${gone.port}/`), (error: Error) => error instanceof FetchFailed && error.message.startsWith(`127.0.0.1:${gone.port} gave no answer`))
    const cut = await receive(t, (req, res) => { res.writeHead(200, { 'content-length': 10 }).write('x', () => req.socket.destroy()) })
    await assert.rejects(open(`http://127.0.0.1:${cut.port}/`), FetchFailed)
    assert.equal(gone.received.length, 1, 'it is not asked again')
    const nobody = createTcpServer().listen(0, '127.0.0.1')
    await once(nobody, 'listening')
    const { port } = nobody.address() as AddressInfo
    await new Promise(resolve => nobody.close(resolve))
    await assert.rejects(open(`http://127.0.0.1:${port}/`), (error: Error) => error instanceof FetchFailed && error.message.includes('ECONNREFUSED'))
    await assert.rejects(createEgress({ allow: [], lookup: async () => { throw Object.assign(new Error('queryA ENOTFOUND nowhere.example'), { code: 'ENOTFOUND' }) } })('http://nowhere.example/'), /nowhere\.example gave no answer: queryA ENOTFOUND/)

    const proxy = await receive(t, (_req, res) => { res.end('proxied') })
    const server = await receive(t, (_req, res) => { res.end('direct') })
    for (const name of ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY']) {
      process.env[name] = `http://127.0.0.1:${proxy.port}`
      undo(t, () => { Reflect.deleteProperty(process.env, name) })
    }
    assert.equal((await open(`http://127.0.0.1:${server.port}/`)).text(), 'direct')
    assert.equal(proxy.connections(), 0)
  })

  test('leaves no connection behind', async (t) => {
    const sockets = new Set<object>()
    const server = createHttpServer((_req, res) => { res.end('x'.repeat(100_000)) }).on('connection', socket => { sockets.add(socket); socket.on('close', () => sockets.delete(socket)) })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    undo(t, () => { server.close(); server.closeAllConnections() })
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    await Promise.allSettled(Array.from({ length: 20 }, (_, index) => open(url, { maxBytes: index % 2 === 0 ? 10 : 1_000_000 })))
    for (let rounds = 0; sockets.size > 0 && rounds < 200; rounds++) await sleep(10)
    assert.equal(sockets.size, 0)
  })
})
