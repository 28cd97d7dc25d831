// What changes in the cluster, told to all pages of this browser by one stream.
// Tabs elect who holds it (Web Locks) and share it (BroadcastChannel): a browser
// allows six connections to a host, and a seventh tab would hang. Where a browser
// has no locks (plain HTTP from another machine), each visible tab has a stream.
import { batch, signal } from '@preact/signals'
import type { Counts, Job, Queue, Worker } from '../api'
import { Stream, type Message } from './sse'

export interface Changes {
  reset: { position: number }
  job: Job
  worker: Worker
  queue: Queue
  counts: Counts
}

type Kind = keyof Changes
type Told = { [K in Kind]: { kind: K; data: Changes[K] } }[Kind]

/** open says whether changes arrive; undefined is not known yet. */
export const open = signal<boolean | undefined>(undefined)
/** since is when the connection was lost, and retryAt when the next try is due. */
export const since = signal(0)
export const retryAt = signal(0)
/** position is that of the newest change shown. */
export const position = signal(0)
/** caughtUp is how many changes came right after a reconnect; 0 is none to tell. */
export const caughtUp = signal(0)

const kinds: Kind[] = ['job', 'worker', 'queue', 'counts']
const url = `/v1/changes?kinds=${kinds.join(',')}&every=100ms`
const listeners = new Map<Kind, Set<(data: never) => void>>()

/** on calls f with each change of a kind until the returned function is called. */
export function on<K extends Kind>(kind: K, f: (data: Changes[K]) => void): () => void {
  const set = listeners.get(kind) ?? new Set()
  listeners.set(kind, set)
  set.add(f as (data: never) => void)
  return () => set.delete(f as (data: never) => void)
}

// Changes are shown together, once a frame.
let waiting: Told[] = []
let scheduled = false

function tell(t: Told) {
  waiting.push(t)
  if (scheduled) return
  scheduled = true
  const flush = () => {
    scheduled = false
    const told = waiting
    waiting = []
    batch(() => {
      for (const { kind, data } of told) for (const f of listeners.get(kind) ?? []) f(data as never)
    })
  }
  if (document.hidden) setTimeout(flush, 100)
  else requestAnimationFrame(flush)
}

type Shared = { say: 'told'; id: string; event: string; data: string } | { say: 'state'; open: boolean; retryAt: number; id: string } | { say: 'who' } | { say: 'now' }

const channel = new BroadcastChannel('hodei-changes')
let lastId = ''
let stream: Stream | undefined
let wanted = false
let release: (() => void) | undefined
let asked: AbortController | undefined
let catching = 0 // changes since a reconnect; -1 is not counting

function state(isOpen: boolean, retry: number) {
  batch(() => {
    if (isOpen && open.peek() === false && since.peek() > 0) catching = 0
    if (!isOpen && open.peek() !== false) since.value = Date.now()
    if (isOpen) since.value = 0
    open.value = isOpen
    retryAt.value = retry
  })
  if (isOpen && catching === 0) {
    setTimeout(() => {
      caughtUp.value = catching
      catching = -1
      setTimeout(() => (caughtUp.value = 0), 5000)
    }, 700)
  }
}
catching = -1

function hear(event: string, id: string, data: string) {
  if (!kinds.includes(event as Kind) && event !== 'reset') return
  if (id) lastId = id
  if (catching >= 0 && event !== 'reset') catching++
  const at = Number(id)
  if (at > 0) position.value = at
  tell({ kind: event, data: JSON.parse(data) } as Told)
}

function hold() {
  if (stream) return
  stream = new Stream({
    url: () => url,
    lastId,
    message(m: Message) {
      hear(m.event, m.id, m.data)
      channel.postMessage({ say: 'told', id: m.id, event: m.event, data: m.data } satisfies Shared)
    },
    status(isOpen, retry) {
      state(isOpen, retry)
      channel.postMessage({ say: 'state', open: isOpen, retryAt: retry, id: lastId } satisfies Shared)
    },
    refused(p) {
      if (p.status === 422 && stream) stream.lastId = lastId = '' // another log than before: all anew
      return p.status !== 401 && p.status !== 403
    },
  })
}

function drop() {
  stream?.close()
  stream = undefined
}

channel.onmessage = (e: MessageEvent<Shared>) => {
  const m = e.data
  switch (m.say) {
    case 'told':
      if (!stream && wanted) hear(m.event, m.id, m.data)
      return
    case 'state':
      if (!stream && wanted) {
        if (m.id && !lastId) lastId = m.id
        state(m.open, m.retryAt)
      }
      return
    case 'who':
      if (stream) channel.postMessage({ say: 'state', open: open.peek() === true, retryAt: retryAt.peek(), id: lastId } satisfies Shared)
      return
    case 'now':
      stream?.now()
  }
}

function claim() {
  if (!wanted || asked || document.hidden) return
  if (!navigator.locks) return hold()
  asked = new AbortController()
  channel.postMessage({ say: 'who' } satisfies Shared)
  navigator.locks
    .request('hodei-changes', { signal: asked.signal }, () => {
      hold()
      return new Promise<void>((done) => (release = done))
    })
    .catch(() => undefined) // it was not needed any more
}

function yieldIt() {
  drop()
  release?.()
  asked?.abort()
  release = asked = undefined
}

/** start begins to listen; stop ends it and forgets where it was. */
export function start() {
  wanted = true
  claim()
}

export function stop() {
  wanted = false
  lastId = ''
  yieldIt()
  batch(() => {
    open.value = undefined
    since.value = 0
  })
}

/** tryNow tries to connect at once, in whichever tab holds the stream. */
export function tryNow() {
  stream?.now()
  channel.postMessage({ say: 'now' } satisfies Shared)
}

// A hidden tab gives the stream up after a while; whoever is visible takes it.
const hiddenFor = 5000
let leaving: ReturnType<typeof setTimeout> | undefined
document.addEventListener('visibilitychange', () => {
  clearTimeout(leaving)
  if (document.hidden) leaving = setTimeout(yieldIt, hiddenFor)
  else claim()
})
addEventListener('pagehide', yieldIt)
addEventListener('pageshow', (e) => {
  if (!e.persisted) return
  tell({ kind: 'reset', data: { position: position.peek() } }) // what was told meanwhile was not heard
  claim()
})
