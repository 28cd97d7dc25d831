// What the server sends, and how it is asked. The forms are those of api/wire.
import { batch, signal } from '@preact/signals'

export type State = 'pending' | 'bound' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'timed_out' | 'lost'

export interface Step {
  step: number
  name?: string
  state: State | 'skipped'
  exit_code?: number
  signal?: string
  seconds?: number
  from?: number
  to?: number
  log_offset?: number
}

export interface Usage {
  cpu?: number
  memory_bytes?: number
  peak_cpu?: number
  peak_memory_bytes?: number
  cpu_seconds?: number
}

export interface Job {
  id: string
  name: string
  namespace: string
  state: State
  attempt: number
  worker?: string
  worker_name?: string
  exit_code?: number
  signal?: string
  forced?: boolean
  escaped?: boolean
  reason?: string
  summary?: string
  explanation?: string
  help?: string
  waits_for_input?: boolean
  cancelling?: boolean
  priority?: number
  submitted_at: string
  started_at?: string
  finished_at?: string
  position: number
  steps?: Step[]
  usage?: Usage
  spec?: JobSpec
}

export interface JobSpec {
  resources?: { cpu?: string; memory?: string; disk?: string }
  [field: string]: unknown
}

export interface Counts {
  waiting: number
  running: number
  ended: number
}

export interface Jobs {
  items: Job[]
  next?: string
  counts: Counts
}

export interface Amount {
  cpu?: number
  memory_bytes?: number
  disk_bytes?: number
}

export interface Worker {
  id: string
  name: string
  state: string
  cordoned?: boolean
  draining?: boolean
  since: string
  os?: string
  arch?: string
  version?: string
  provider?: string
  pool?: string
  labels?: Record<string, string>
  capacity: Amount
  reserved: Amount
  used?: Amount
  jobs: number
  last_heard_at?: string
}

export interface QueueClass {
  class: string
  namespace: string
  pool?: string
  waiting: number
  needs: { cpu?: string; memory?: string; disk?: string; requires?: Record<string, string> }
  oldest_submitted_at?: string
  reason?: string
  summary?: string
  explanation?: string
  help?: string
  next?: string[]
}

export interface Queue {
  items: QueueClass[]
  waiting: number
  backoff: number
  next?: string
}

export interface LogEvent {
  position: number
  time: string
  stream: string
  type: string
  id: string
  actor?: string
  source?: string
  request_id?: string
  text: string
  data: unknown
}

export interface Me {
  id: string
  name: string
  namespace: string
  role: 'viewer' | 'submitter' | 'operator' | 'admin'
  expires_at?: string
  version: string
}

export interface LogLine {
  line: number
  offset: number
  end: number
  time: string
  text: string
  match: boolean
}

export interface LogSearch {
  attempt: number
  lines: LogLine[]
  count: number
  complete: boolean
  next?: string
}

/** Problem is why a request was not answered as asked. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly help?: string,
    readonly request?: string,
  ) {
    super(message)
  }
}

/** me is who is signed in: null is nobody, undefined not known yet. */
export const me = signal<Me | null | undefined>(undefined)

/** skew is how far the server's clock is ahead of this one, in ms. */
export const skew = signal(0)

/** serverNow is the time by the server's clock, in ms since 1970. */
export const serverNow = () => Date.now() + skew.peek()

const maxSkew = 1500 // the Date header has whole seconds

/** noted looks at what any answer tells beside its body. */
export function noted(answer: Response) {
  const date = Date.parse(answer.headers.get('Date') ?? '')
  if (!Number.isNaN(date)) {
    const ahead = date - Date.now()
    skew.value = Math.abs(ahead) > maxSkew ? ahead : 0
  }
  if (answer.status === 401) batch(() => (me.value = null))
}

/** problemOf reads why the answer is none. */
export async function problemOf(answer: Response): Promise<Problem> {
  let detail = `${answer.status} ${answer.statusText}`
  let help: string | undefined
  try {
    const body = (await answer.json()) as { detail?: string; help?: string }
    detail = body.detail ?? detail
    help = body.help
  } catch {
    // The status says it.
  }
  return new Problem(answer.status, detail, help, answer.headers.get('X-Request-Id') ?? undefined)
}

interface Asked {
  method?: string
  body?: unknown
  token?: string
  signal?: AbortSignal
}

async function send(path: string, { method = 'GET', body, token, signal }: Asked, accept: string): Promise<Response> {
  const headers: Record<string, string> = { Accept: accept }
  if (method !== 'GET') headers['X-Hodei-Request'] = '1'
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (token) headers['Authorization'] = `Bearer ${token}`
  let answer: Response
  try {
    answer = await fetch(path, {
      method,
      headers,
      cache: 'no-store',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    })
  } catch (cause) {
    if (signal?.aborted) throw cause
    throw new Problem(0, '')
  }
  if (!token) noted(answer)
  if (!answer.ok) throw await problemOf(answer)
  return answer
}

/** ask returns the JSON that the server answers with; it throws a Problem. */
export async function ask<T>(path: string, asked: Asked = {}): Promise<T> {
  const answer = await send(path, asked, 'application/json')
  const text = await answer.text()
  return (text === '' ? undefined : JSON.parse(text)) as T
}

/** askBytes returns bytes, and where in its log they begin. */
export async function askBytes(path: string, signal?: AbortSignal): Promise<{ bytes: Uint8Array; offset: number }> {
  const answer = await send(path, signal ? { signal } : {}, 'text/plain')
  return { bytes: new Uint8Array(await answer.arrayBuffer()), offset: Number(answer.headers.get('Log-Offset') ?? 0) }
}

/** query writes parameters behind a path; what is empty is left out. */
export function query(path: string, parameters: Record<string, string | number | undefined>): string {
  const q = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined && value !== '') q.set(name, String(value))
  const text = q.toString()
  return text ? `${path}?${text}` : path
}
