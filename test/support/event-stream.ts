// Reads server-sent events as they come, as a browser's EventSource does.

export interface ServerEvent { readonly id: string, readonly event: string, readonly data: string }

export interface EventStream {
  readonly status: number
  readonly events: readonly ServerEvent[]
  /** Lines that begin with a colon. */
  comments (): number
  /** Whether the server has ended it in order. */
  hasEnded (): boolean
  close (): void
}

export async function openStream (url: string, headers: Record<string, string>): Promise<EventStream> {
  const closing = new AbortController()
  const answer = await fetch(url, { headers, signal: closing.signal })
  const events: ServerEvent[] = []
  let comments = 0
  let hasEnded = false
  const read = async (): Promise<void> => {
    let text = ''
    for await (const chunk of (answer.body ?? new ReadableStream<Uint8Array>()).pipeThrough(new TextDecoderStream())) {
      const blocks = (text += chunk).split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
        if (block.startsWith(':')) comments += 1
        else if (block.includes('data: ')) events.push({ id: field('id'), event: field('event'), data: field('data') })
      }
    }
    hasEnded = true
  }
  // Broken off by the test, or by the end of a host: `hasEnded` stays false.
  read().catch(() => undefined)
  return { status: answer.status, events, comments: () => comments, hasEnded: () => hasEnded, close: () => closing.abort() }
}
