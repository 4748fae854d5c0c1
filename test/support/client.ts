// A signed-in user of the platform, for tests: keeps the session cookie as a browser would.

export interface Client {
  readonly cookie: string
  get (path: string): Promise<Response>
  post (path: string, body?: unknown): Promise<Response>
  put (path: string, body?: unknown): Promise<Response>
  patch (path: string, body?: unknown): Promise<Response>
  delete (path: string): Promise<Response>
}

export async function signIn (url: string, name: string, password: string): Promise<Client> {
  const answer = await fetch(`${url}/api/auth/login`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name, password })
  })
  if (!answer.ok) throw new Error(`login answered ${answer.status}: ${await answer.text()}`)
  const cookie = answer.headers.getSetCookie().map(text => text.split(';')[0]).join('; ')
  const send = (method: string) => (path: string, body?: unknown): Promise<Response> => fetch(`${url}${path}`, {
    method,
    headers: { cookie, origin: url, ...body === undefined ? {} : { 'content-type': 'application/json' } },
    ...body === undefined ? {} : { body: JSON.stringify(body) }
  })
  return { cookie, get: send('GET'), post: send('POST'), put: send('PUT'), patch: send('PATCH'), delete: send('DELETE') }
}
