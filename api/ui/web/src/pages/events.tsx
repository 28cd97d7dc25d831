import { useSignal } from '@preact/signals'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import { ask, query, type LogEvent, type Problem } from '../api'
import { clock, visible } from '../format'
import { Stream } from '../live/sse'
import { actor, StreamLink } from '../parts/eventlines'
import { useKeys } from '../parts/keys'
import { Failed, Loading, Page } from '../parts/panel'
import { Virtual, type Handle } from '../parts/virtual'
import { parameters, put } from '../router'
import { asProblem, narrow } from '../store'
import { texts } from '../texts'
import { signal } from '@preact/signals'

const t = texts.events
const page = 200
const most = 20_000 // rows kept

interface Page_ {
  items: LogEvent[]
  next?: string
}

/** Tail is the event log, newest first: older pages below, new events above. */
class Tail {
  readonly rows = signal<LogEvent[]>([])
  readonly fresh = signal(0)
  readonly loaded = signal(false)
  readonly problem = signal<Problem | undefined>(undefined)
  held = false
  private gathered: LogEvent[] = []
  private next: string | undefined
  private reading = false
  private stream: Stream | undefined
  private at = 0 // position up to which all is known
  private frame = 0
  private closed = false
  private readonly seen = () => (document.hidden ? this.pause() : this.follow())

  constructor(
    private readonly types: string,
    private readonly prefix: string,
  ) {
    document.addEventListener('visibilitychange', this.seen)
    void this.load()
  }

  close() {
    this.closed = true
    document.removeEventListener('visibilitychange', this.seen)
    this.pause()
  }

  async load() {
    try {
      // Where to go on from: the newest event of all, not of those that pass.
      const newest = await ask<Page_>('/v1/events?order=desc&limit=1')
      const list = await this.ask()
      this.at = Math.max(newest.items[0]?.position ?? 0, list.items[0]?.position ?? 0)
      this.rows.value = list.items
      this.next = list.next
      this.loaded.value = true
      this.problem.value = undefined
      if (!document.hidden) this.follow()
    } catch (e) {
      this.problem.value = asProblem(e)
    }
  }

  async older() {
    if (!this.next || this.reading || this.rows.peek().length >= most) return
    this.reading = true
    try {
      const list = await this.ask(this.next)
      this.rows.value = this.rows.peek().concat(list.items)
      this.next = list.next
    } catch (e) {
      this.problem.value = asProblem(e)
    } finally {
      this.reading = false
    }
  }

  private ask(cursor?: string) {
    return ask<Page_>(query('/v1/events', { order: 'desc', limit: page, type: this.types, stream: this.prefix, cursor }))
  }

  private follow() {
    if (this.stream || !this.loaded.peek() || this.closed) return
    this.stream = new Stream({
      url: () => query('/v1/events', { type: this.types, stream: this.prefix, cursor: this.at }),
      lastId: this.at > 0 ? String(this.at) : '',
      message: (m) => {
        const e = JSON.parse(m.data) as LogEvent
        this.at = e.position
        this.gathered.push(e)
        if (!this.frame) this.frame = requestAnimationFrame(() => this.show())
      },
      refused: (p) => (p.status === 401 || p.status === 403 ? false : true),
    })
  }

  private pause() {
    this.stream?.close()
    this.stream = undefined
  }

  private show() {
    this.frame = 0
    if (this.held) return void (this.fresh.value = this.gathered.length)
    this.release()
  }

  release() {
    if (this.gathered.length > 0) this.rows.value = this.gathered.reverse().concat(this.rows.peek()).slice(0, most)
    this.gathered = []
    this.fresh.value = 0
  }
}

export function EventsPage() {
  const q = parameters.value
  const types = q.get('type') ?? ''
  const prefix = q.get('stream') ?? ''
  const tail = useMemo(() => new Tail(types, prefix), [types, prefix])
  useEffect(() => () => tail.close(), [tail])
  const handle = useRef<Handle | null>(null)
  const field = useRef<HTMLInputElement>(null)
  const typed = useSignal(types)
  const stream = useSignal(prefix)
  useKeys({ '/': () => field.current?.focus() })
  const rows = tail.rows.value
  return (
    <Page title={t.title} name={t.title}>
      <form
        class="filters"
        role="search"
        onSubmit={(e) => {
          e.preventDefault()
          put('type', typed.value.replaceAll(' ', ''))
          put('stream', stream.value.trim())
        }}
      >
        <input ref={field} type="search" aria-label={t.filterType} placeholder={t.filterType} value={typed.value} onInput={(e) => (typed.value = e.currentTarget.value)} />
        <input type="search" aria-label={t.filterStream} placeholder={t.filterStream} value={stream.value} onInput={(e) => (stream.value = e.currentTarget.value)} />
        <button type="submit">{t.apply}</button>
      </form>
      {tail.problem.value ? <Failed problem={tail.problem.value} again={() => void tail.load()} /> : null}
      {!tail.loaded.value ? (
        tail.problem.value ? null : <Loading rows={8} />
      ) : rows.length === 0 ? (
        <div class="empty">{t.none}</div>
      ) : (
        <div class="listbox">
          {tail.fresh.value > 0 ? (
            <button type="button" class="fresh" onClick={() => (tail.release(), handle.current?.show(0))}>
              {t.fresh(tail.fresh.value)}
            </button>
          ) : null}
          <Virtual
            class="events"
            role="grid"
            label={t.label}
            rowCount={-1}
            count={rows.length}
            rowHeight={narrow.value ? 56 : 28}
            handle={handle}
            head={
              <div class="row head" role="row" aria-rowindex={1}>
                {[t.position, t.time, t.stream, t.what, t.actor].map((c) => (
                  <span key={c} role="columnheader" class={c === t.position ? 'num' : ''}>
                    {c}
                  </span>
                ))}
              </div>
            }
            onScroll={({ top, last }) => {
              tail.held = top > 0
              if (!tail.held && tail.fresh.peek() > 0) tail.release()
              if (last > rows.length - 60) void tail.older()
            }}
            row={(i) => <Row key={rows[i]!.position} event={rows[i]!} index={i} />}
          />
        </div>
      )}
    </Page>
  )
}

function Row({ event: e, index }: { event: LogEvent; index: number }) {
  return (
    <div class="row" role="row" aria-rowindex={index + 2} title={e.type}>
      <span role="gridcell" class="mono num">
        {texts.job.position(e.position)}
      </span>
      <span role="gridcell" class="mono">
        {clock(e.time, true)}
      </span>
      <span role="gridcell">
        <StreamLink stream={e.stream} />
      </span>
      <span role="gridcell" class="what">
        {visible(e.text)}
      </span>
      <span role="gridcell" class="muted">
        {actor(e.actor)}
      </span>
    </div>
  )
}
