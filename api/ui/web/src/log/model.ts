// The log of an attempt as far as it is in the browser: a window of lines that
// grows at its end while the job prints, and at its beginning on demand. A small
// log is here whole; of a large one its end is, until another part is asked for.
import { signal } from '@preact/signals'
import { ask, askBytes, query, type Job, type LogSearch, type Problem, type Step } from '../api'
import { Stream, type Message } from '../live/sse'
import { asProblem } from '../store'
import { Terminal, type Line } from './terminal'

const whole = 4 << 20 // bytes of a log that is read whole
const tail = 5000 // lines of a larger one that are read at first
const chunk = 5000 // lines that are read on demand
const offsetBits = 2 ** 40

interface StepsAnswer {
  attempt: number
  size: number
  whole: boolean
  steps: Step[]
}

export class LogModel {
  /** version changes with the lines. */
  readonly version = signal(0)
  readonly steps = signal<Step[]>([])
  readonly attempt = signal(0)
  readonly ended = signal(false)
  readonly ready = signal(false)
  readonly problem = signal<Problem | undefined>(undefined)
  readonly broken = signal(false)
  /** apart says that what is shown is not the end of the log. */
  readonly apart = signal(false)
  /** first is the number of the first line here. */
  first = 1
  private older: Line[] = []
  private terminal = new Terminal()
  private stream: Stream | undefined
  private frame = 0
  private closed = false
  private stepsTimer: ReturnType<typeof setTimeout> | undefined
  private readonly encoder = new TextEncoder()
  private lastId = ''
  private tailed = false

  constructor(
    readonly job: string,
    readonly only: number, // the attempt; 0 is the newest, and those after it
    private readonly told: (j: Job) => void,
  ) {
    document.addEventListener('visibilitychange', this.seen)
    void this.open()
  }

  close() {
    this.closed = true
    document.removeEventListener('visibilitychange', this.seen)
    this.pause()
    clearTimeout(this.stepsTimer)
    cancelAnimationFrame(this.frame)
  }

  private readonly seen = () => (document.hidden ? this.pause() : this.follow())

  /** count is how many lines are here. */
  count(): number {
    return this.older.length + this.terminal.lines.length + (this.terminal.current() ? 1 : 0)
  }

  line(i: number): Line | undefined {
    if (i < this.older.length) return this.older[i]
    i -= this.older.length
    return this.terminal.lines[i] ?? (i === this.terminal.lines.length ? this.terminal.current() : undefined)
  }

  /** indexOf is where the first line is that begins at an offset or after it. */
  indexOf(offset: number): number {
    let low = 0
    let high = this.count()
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.line(middle)!.offset < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** open begins at the end of the log, or with all of it. */
  async open() {
    this.pause()
    this.apart.value = this.ended.value = this.ready.value = false
    this.lastId = ''
    try {
      const steps = await this.readSteps()
      this.tailed = steps.size > whole
      this.first = 1
      if (this.tailed) {
        const found = await this.search('^', { tail, limit: 1 })
        this.first = found.lines[0]?.line ?? 1
      }
      this.older = []
      this.terminal = new Terminal()
      this.problem.value = undefined
      this.bump()
      if (!document.hidden) this.follow()
    } catch (e) {
      this.problem.value = asProblem(e)
      this.ready.value = true
    }
  }

  private async readSteps(): Promise<StepsAnswer> {
    const answer = await ask<StepsAnswer>(query(`/v1/jobs/${this.job}/logs/steps`, { attempt: this.only || undefined }))
    this.steps.value = answer.steps
    this.attempt.value = answer.attempt
    return answer
  }

  /** look reads the steps again, but not more often than they can be followed. */
  look() {
    if (this.stepsTimer) return
    this.stepsTimer = setTimeout(() => {
      this.stepsTimer = undefined
      if (!this.closed) void this.readSteps().catch(() => undefined) // the next change asks again
    }, 300)
  }

  private follow() {
    if (this.stream || this.closed || this.ended.peek() || this.apart.peek()) return
    this.stream = new Stream({
      url: () => query(`/v1/jobs/${this.job}/logs`, { attempt: this.only || undefined, tail: this.tailed ? tail : undefined }),
      lastId: this.lastId,
      message: (m) => this.hear(m),
      status: (open) => {
        this.broken.value = !open
        if (open) setTimeout(() => (this.ready.value = true), 150)
      },
      refused: (p) => {
        if (p.status < 400 || p.status >= 500 || p.status === 429) return true
        this.problem.value = p
        this.ready.value = true
        return false
      },
    })
  }

  private pause() {
    this.stream?.close()
    this.stream = undefined
  }

  private hear(m: Message) {
    if (m.event === 'message') {
      this.lastId = m.id
      this.piece(m)
      return
    }
    if (m.event === 'state' || m.event === 'end') {
      this.told(JSON.parse(m.data) as Job)
      this.look()
      if (m.event === 'end') {
        this.ended.value = true
        this.ready.value = true
        this.pause()
      }
    }
  }

  private piece(m: Message) {
    const p = JSON.parse(m.data) as { t?: string; b?: string; at?: number }
    const bytes = p.t !== undefined ? this.encoder.encode(p.t) : Uint8Array.from(atob(p.b ?? ''), (c) => c.charCodeAt(0))
    const id = Number(m.id)
    const attempt = Math.floor(id / offsetBits)
    if (attempt !== this.attempt.peek() && attempt > 0) {
      this.attempt.value = attempt
      this.older = []
      this.first = 1
      this.terminal = new Terminal()
      this.look()
    }
    this.terminal.write(bytes, (id % offsetBits) - bytes.length, (p.at ?? 0) / 1e6)
    if (this.steps.peek().length > 0) this.look()
    this.bump()
  }

  private bump() {
    if (this.frame) return
    this.frame = requestAnimationFrame(() => {
      this.frame = 0
      this.version.value++
    })
  }

  search(pattern: string, more: Record<string, string | number | undefined> = {}): Promise<LogSearch> {
    return ask(query(`/v1/jobs/${this.job}/logs`, { grep: pattern, attempt: this.attempt.peek() || undefined, limit: 1000, ...more }))
  }

  private async part(from: number, to: number): Promise<Line[]> {
    const { bytes, offset } = await askBytes(query(`/v1/jobs/${this.job}/logs`, { lines: `${from}:${to}`, ansi: 'keep', attempt: this.attempt.peek() || undefined }))
    const t = new Terminal(offset)
    t.write(bytes, offset)
    const rest = t.current()
    return rest ? [...t.lines, rest] : t.lines
  }

  /** earlier reads what is before the first line here; it returns how many came. */
  async earlier(): Promise<number> {
    if (this.first <= 1) return 0
    const to = this.first - 1
    const lines = await this.part(Math.max(1, to - chunk + 1), to)
    this.older = lines.concat(this.older)
    this.first = to - lines.length + 1
    this.version.value++
    return lines.length
  }

  /** around shows a line that is not here, with those before and after it. */
  async around(line: number) {
    const from = Math.max(1, line - chunk / 2)
    const lines = await this.part(from, from + chunk - 1)
    this.pause()
    this.apart.value = true
    this.older = lines
    this.terminal = new Terminal()
    this.first = from
    this.version.value++
  }
}
