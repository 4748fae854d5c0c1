// Reads DATABASE_URL: several servers (`postgres://user@a:5432,b:5432/db`) are written as libpq's `host` and `port`, so
// that the rest of the host handles an ordinary URL.

const severalPattern = /^(?<start>postgres(?:ql)?:\/\/(?:[^/?#]*@)?)(?<servers>[^/?#@]*,[^/?#@]*)(?<rest>.*)$/s

/** Kinds of server that libpq's `target_session_attrs` names and the host can work with. */
const writable = new Set(['any', 'primary', 'read-write'])

/** Returns the URL unchanged where it names one server. */
export function withOneHost (url: string): string {
  const { start = '', servers = '', rest = '' } = severalPattern.exec(url)?.groups ?? {}
  const hosts = servers.split(',').flatMap(server => URL.parse(`postgres://${server}`) ?? []).filter(({ hostname }) => hostname !== '')
  const changed = URL.parse(`${start}${servers.split(',')[0] ?? ''}${rest}`)
  if (changed === null || hosts.length !== servers.split(',').length) return url
  changed.searchParams.set('host', hosts.map(({ hostname }) => hostname.replace(/^\[(.+)\]$/, '$1')).join(','))
  changed.searchParams.set('port', hosts.map(({ port }) => port || '5432').join(','))
  return changed.href
}

/** The host writes, so it needs a server that takes writes. */
export function checkDatabaseUrl (url: string): string[] {
  const wanted = URL.canParse(url) ? new URL(url).searchParams.get('target_session_attrs') : null
  return wanted === null || writable.has(wanted) ? [] : [
    `postgres.url: target_session_attrs=${wanted} in DATABASE_URL asks for a server that may take no writes; the host writes. Write read-write, or leave it out`
  ]
}
