// Server-sent events over fetch. Unlike EventSource it can go on from an id of
// another tab, notices a connection that is silent, and learns why it is refused.
import { noted, problemOf, type Problem } from '../api'

export interface Message {
  event: string
  id: string
  data: string
}

export interface Follow {
  url: () => string
  lastId?: string
  message: (m: Message) => void
  /** status tells of the connection: open, or lost and when the next try is due. */
  status?: (open: boolean, retryAt: number) => void
  /** refused says why the server does not stream; true is to try again. */
  refused?: (p: Problem) => boolean
}

const silent = 40_000 // the server says something every 15 s
const firstRetry = 500
const longestRetry = 10_000

/** Stream follows a stream of events until it is closed. */
export class Stream {
  lastId: string
  private stop = new AbortController()
  private closed = false
  private fails = 0
  private wake: (() => void) | undefined

  constructor(private readonly follow: Follow) {
    this.lastId = follow.lastId ?? ''
    void this.run()
  }

  close() {
    this.closed = true
    this.stop.abort()
    this.wake?.()
  }

  /** now tries again at once. */
  now() {
    this.fails = 0
    this.wake?.()
  }

  private async run() {
    while (!this.closed) {
      try {
        await this.once()
      } catch {
        // The connection broke, or there was none.
      }
      if (this.closed) return
      const pause = Math.min(longestRetry, firstRetry * 2 ** this.fails++) * (0.75 + Math.random() / 2)
      this.follow.status?.(false, Date.now() + pause)
      await new Promise<void>((done) => {
        const timer = setTimeout(done, pause)
        this.wake = () => (clearTimeout(timer), done())
      })
    }
  }

  private async once() {
    this.stop = new AbortController()
    let watch = setTimeout(() => this.stop.abort(), silent)
    try {
      const headers: Record<string, string> = { Accept: 'text/event-stream' }
      if (this.lastId) headers['Last-Event-ID'] = this.lastId
      const answer = await fetch(this.follow.url(), { headers, cache: 'no-store', signal: this.stop.signal })
      noted(answer)
      if (!answer.ok || !answer.body) {
        const p = await problemOf(answer)
        if (!(this.follow.refused?.(p) ?? true)) this.close()
        return
      }
      this.fails = 0
      this.follow.status?.(true, 0)
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
      const parse = parser((m) => {
        if (m.id) this.lastId = m.id
        if (!this.closed) this.follow.message(m)
      })
      for (;;) {
        const { done, value } = await reader.read()
        if (done || this.closed) return
        clearTimeout(watch)
        watch = setTimeout(() => this.stop.abort(), silent)
        parse(value)
      }
    } finally {
      clearTimeout(watch)
    }
  }
}

/** parser takes text in pieces and hands on whole messages. */
export function parser(message: (m: Message) => void): (text: string) => void {
  let rest = ''
  let event = ''
  let id = ''
  let data: string[] = []
  return (text) => {
    rest += text
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
      if (line === '') {
        if (data.length > 0) message({ event: event || 'message', id, data: data.join('\n') })
        event = ''
        id = ''
        data = []
        continue
      }
      const colon = line.indexOf(':')
      const field = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
      if (field === 'event') event = value
      else if (field === 'id') id = value
      else if (field === 'data') data.push(value)
    }
  }
}
