// A list of jobs, newest first, that grows at both ends: older pages as one
// scrolls, new jobs as they come. While one reads, what would move rows is
// gathered instead.
import { signal } from '@preact/signals'
import { ask, query, type Job, type Jobs } from '../api'
import { asProblem } from '../store'
import type { Problem } from '../api'
import * as changes from './changes'

const page = 200
const largest = 1000 // jobs of one answer
const mostAnew = 20_000 // jobs that are read anew after a reset

export interface Filter {
  state: string
  namespace: string
}

export class JobList {
  readonly rows = signal<Job[]>([])
  readonly fresh = signal(0) // gathered, not shown
  readonly whole = signal(false) // nothing older is left
  readonly loaded = signal(false)
  readonly problem = signal<Problem | undefined>(undefined)
  /** kept is where it was scrolled to, and chosen the job that was selected. */
  kept = 0
  chosen = ''

  private held = false
  private gathered = new Map<string, Job>()
  private next: string | undefined
  private reading = false
  private again = false
  private more = false // older ones were asked for meanwhile
  private during: Job[] | undefined // changes that came while the list was read
  private readonly states: Set<string> | undefined
  private off: (() => void)[]

  constructor(
    readonly filter: Filter,
    private readonly size = page,
  ) {
    this.states = filter.state ? new Set(filter.state.split(',')) : undefined
    this.off = [changes.on('job', (j) => this.hear(j)), changes.on('reset', () => void this.reload())]
    void this.reload()
  }

  close() {
    for (const f of this.off) f()
  }

  /** hold keeps rows where they are until it is called with false. */
  hold(held: boolean) {
    this.held = held
    if (!held) this.release()
  }

  /** release shows what was gathered. */
  release() {
    if (this.gathered.size === 0) return
    const all = [...this.gathered.values()]
    this.gathered.clear()
    this.fresh.value = 0
    this.merge(all, true)
  }

  /** reload reads the list anew, as far as it was read before. */
  async reload() {
    if (this.reading) return void (this.again = true)
    await this.read(async () => {
      this.during = []
      const wanted = Math.min(mostAnew, Math.max(this.size, this.rows.peek().length))
      const rows: Job[] = []
      let next: string | undefined
      do {
        const list = await this.ask(next, Math.min(largest, wanted - rows.length))
        rows.push(...list.items)
        next = list.next
      } while (next && rows.length < wanted)
      this.gathered.clear()
      this.fresh.value = 0
      this.rows.value = rows
      this.next = next
      this.whole.value = !next
      this.loaded.value = true
      const during = this.during
      this.during = undefined
      this.merge(during, true)
    })
    this.during = undefined
  }

  /** older reads the next page. */
  async older() {
    if (this.reading) return void (this.more = true)
    if (!this.next) return
    await this.read(async () => {
      const list = await this.ask(this.next, Math.min(largest, Math.max(this.size, this.rows.peek().length)))
      const rows = this.rows.peek()
      const last = rows.at(-1)?.position ?? Infinity
      this.rows.value = rows.concat(list.items.filter((j) => j.position < last))
      this.next = list.next
      this.whole.value = !list.next
    })
  }

  private ask(cursor: string | undefined, limit: number) {
    return ask<Jobs>(query('/v1/jobs', { state: this.filter.state, namespace: this.filter.namespace, cursor, limit }))
  }

  private async read(f: () => Promise<void>) {
    this.reading = true
    try {
      await f()
      this.problem.value = undefined
    } catch (e) {
      this.problem.value = asProblem(e)
    } finally {
      this.reading = false
    }
    if (this.again) {
      this.again = false
      await this.reload()
    } else if (this.more) {
      this.more = false
      await this.older()
    }
  }

  private passes(j: Job) {
    return (!this.states || this.states.has(j.state)) && (!this.filter.namespace || j.namespace === this.filter.namespace)
  }

  private hear(j: Job) {
    if (this.during) this.during.push(j)
    else this.merge([j], !this.held)
  }

  /** merge puts jobs where they belong; what would move rows only if it may. */
  private merge(jobs: Job[], move: boolean) {
    let rows = this.rows.peek()
    let copied = false
    const own = () => {
      if (!copied) rows = rows.slice()
      copied = true
    }
    for (const j of jobs) {
      const i = place(rows, j.position)
      const there = rows[i]?.position === j.position
      if (!this.passes(j)) {
        if (!there) this.gathered.delete(j.id)
        else if (move) (own(), rows.splice(i, 1))
        else (own(), (rows[i] = j), this.gathered.set(j.id, j))
      } else if (there) {
        own()
        rows[i] = j
        this.gathered.delete(j.id)
      } else if (i === rows.length && !this.whole.peek()) {
        continue // older than what was read
      } else if (move) {
        own()
        rows.splice(i, 0, j)
      } else {
        this.gathered.set(j.id, j)
      }
    }
    if (copied) this.rows.value = rows
    let fresh = 0
    for (const j of this.gathered.values()) if (this.passes(j)) fresh++
    this.fresh.value = fresh
  }
}

/** place is where a position is, or would be, in rows that fall. */
function place(rows: Job[], position: number): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (rows[middle]!.position > position) low = middle + 1
    else high = middle
  }
  return low
}
