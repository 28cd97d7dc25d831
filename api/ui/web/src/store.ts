// What several pages show: counts, workers, the queue, the time, how it looks.
import { batch, computed, effect, signal } from '@preact/signals'
import { ask, me, Problem, query, serverNow, type Counts, type Me, type Queue, type Worker } from './api'
import * as changes from './live/changes'

/** now ticks each second while the page is seen, by the server's clock. */
export const now = signal(serverNow())
setInterval(() => {
  if (!document.hidden) now.value = serverNow()
}, 1000)
document.addEventListener('visibilitychange', () => (now.value = serverNow()))

/** Loaded is what was asked for, or why it is not there. */
export interface Loaded<T> {
  value?: T
  problem?: Problem
}

export const counts = signal<Loaded<Counts>>({})
export const workers = signal<Loaded<Map<string, Worker>>>({})
export const queue = signal<Loaded<Queue>>({})

/** stale says that what is shown may have changed meanwhile. */
export const stale = signal(false)
effect(() => {
  const lost = changes.open.value === false && changes.since.value > 0
  if (!lost) return void (stale.value = false)
  const timer = setTimeout(() => (stale.value = true), 2000)
  return () => clearTimeout(timer)
})

/** asProblem takes what was thrown for a Problem. */
export const asProblem = (thrown: unknown) => (thrown instanceof Problem ? thrown : new Problem(0, String(thrown)))

/** all reads a list to its end. */
export async function all<T>(path: string): Promise<T[]> {
  const items: T[] = []
  for (let cursor: string | undefined; ; ) {
    const page: { items: T[]; next?: string } = await ask(query(path, { limit: 1000, cursor }))
    items.push(...page.items)
    if (!page.next) return items
    cursor = page.next
  }
}

export async function loadCounts() {
  try {
    const page = await ask<{ counts: Counts }>('/v1/jobs?limit=1')
    counts.value = { value: page.counts }
  } catch (e) {
    counts.value = { ...counts.value, problem: asProblem(e) }
  }
}

export async function loadWorkers() {
  try {
    const list = await all<Worker>('/v1/workers')
    workers.value = { value: new Map(list.map((w) => [w.id, w])) }
  } catch (e) {
    workers.value = { ...workers.value, problem: asProblem(e) }
  }
}

export async function loadQueue() {
  try {
    queue.value = { value: await ask<Queue>('/v1/queue') }
  } catch (e) {
    queue.value = { ...queue.value, problem: asProblem(e) }
  }
}

changes.on('counts', (value) => (counts.value = { value }))
changes.on('queue', (value) => (queue.value = { value }))
changes.on('worker', (w) => {
  const value = new Map(workers.peek().value)
  value.set(w.id, w)
  workers.value = { value }
})
changes.on('reset', load)

function load() {
  void loadCounts()
  void loadWorkers()
  void loadQueue()
}

/** live are the workers that have not ended, by name. */
export const liveWorkers = computed(() =>
  [...(workers.value.value?.values() ?? [])].filter((w) => w.state !== 'terminated').sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
)

/** enter finds out who is signed in, and begins to listen if somebody is. */
export async function enter() {
  try {
    me.value = await ask<Me>('/v1/whoami')
    changes.start()
    load()
  } catch (e) {
    const p = asProblem(e)
    if (p.status !== 401) setTimeout(() => void enter(), 2000)
    batch(() => {
      if (p.status === 401) me.value = null
      else unreachable.value = true
    })
    return
  }
  unreachable.value = false
}

/** unreachable says that the server did not even say who is signed in. */
export const unreachable = signal(false)

effect(() => {
  if (me.value === null) changes.stop()
})

/** signIn takes a token for a session; it throws a Problem. */
export async function signIn(token: string) {
  await ask('/v1/session', { method: 'POST', token })
  await enter()
}

export async function signOut() {
  await ask('/v1/session', { method: 'DELETE' })
  location.assign('/')
}

/** can says whether who is signed in has at least a role. */
const roles = ['viewer', 'submitter', 'operator', 'admin']
export const can = (role: Me['role']) => roles.indexOf(me.value?.role ?? '') >= roles.indexOf(role)

// How it looks is kept by the browser.
export type Theme = 'auto' | 'light' | 'dark'
const kept = (name: string) => {
  try {
    return localStorage.getItem(name)
  } catch {
    return null
  }
}
const keep = (name: string, value: string) => {
  try {
    localStorage.setItem(name, value)
  } catch {
    // It is forgotten with the page.
  }
}

export const theme = signal<Theme>((kept('hodei-theme') as Theme) ?? 'auto')
const dark = matchMedia('(prefers-color-scheme: dark)')
const systemDark = signal(dark.matches)
dark.addEventListener('change', () => (systemDark.value = dark.matches))
/** isDark is how it looks now. */
export const isDark = computed(() => (theme.value === 'auto' ? systemDark.value : theme.value === 'dark'))
effect(() => {
  document.documentElement.dataset['theme'] = theme.value
  keep('hodei-theme', theme.value)
})

/** singleKeys says whether letters alone do something. */
export const singleKeys = signal(kept('hodei-keys') !== 'off')
effect(() => keep('hodei-keys', singleKeys.value ? 'on' : 'off'))

const small = matchMedia('(max-width: 640px)')
/** narrow is a phone's width. */
export const narrow = signal(small.matches)
small.addEventListener('change', () => (narrow.value = small.matches))
