// Chooses the server to connect to when DATABASE_URL names several: the one that takes writes. pg itself knows one host
// only.

export interface Server { readonly host: string, readonly port: number }

/** Reads the servers of a URL with several, `?host=a,b&port=5432,5433`; undefined for a URL with one, which pg reads itself. */
export function readServers ({ searchParams }: URL): readonly Server[] | undefined {
  const hosts = searchParams.get('host')?.split(',') ?? []
  if (hosts.length < 2) return undefined
  const ports = searchParams.get('port')?.split(',') ?? []
  return hosts.map((host, at) => ({ host, port: Number((ports.length === 1 ? ports[0] : ports[at]) || 5432) }))
}

/** Remembers which server took writes last, so that a further connection costs no search. */
export class ServerChoice {
  readonly #servers: readonly Server[]
  #last: Server | undefined
  #finding: Promise<Server> | undefined

  constructor (servers: readonly Server[]) {
    this.#servers = servers
  }

  /** All servers are asked at the same time, so that a silent one delays nothing. `probe` rejects for a server that takes no writes. */
  async find (probe: (server: Server) => Promise<unknown>): Promise<Server> {
    return this.#last ?? await (this.#finding ??= this.#find(probe).finally(() => { this.#finding = undefined }))
  }

  async #find (probe: (server: Server) => Promise<unknown>): Promise<Server> {
    const found = await Promise.any(this.#servers.map(async server => {
      await probe(server)
      return server
    }))
    this.#last = found
    return found
  }

  /** The next connection searches again. */
  forget (server: Server): void {
    if (this.#last === server) this.#last = undefined
  }
}

const choices = new Map<string, ServerChoice>()

/** Returns the one choice that all connections to these servers share. */
export function choiceOf (servers: readonly Server[]): ServerChoice {
  const key = JSON.stringify(servers)
  const known = choices.get(key) ?? new ServerChoice(servers)
  choices.set(key, known)
  return known
}

/** Names the servers and the database of a URL, without its password. */
export function placeOf (url: string): string {
  const parsed = new URL(url)
  const servers = readServers(parsed)
  return `${servers?.map(({ host, port }) => `${host}:${port}`).join(', ') ?? parsed.host}${parsed.pathname}`
}
