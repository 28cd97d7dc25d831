import { useComputed, useSignal, useSignalEffect } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import { ask, query, type LogEvent, type Problem, type Worker } from '../api'
import { age, bytes, clock, cpu, seconds, secondsBetween, visible } from '../format'
import { JobList } from '../live/joblist'
import { EventLines } from '../parts/eventlines'
import { Bar, Empty, Failed, Loading, Page, Panel } from '../parts/panel'
import { Glyph, WorkerState } from '../parts/state'
import { asProblem, liveWorkers, loadWorkers, now, workers } from '../store'
import { texts } from '../texts'

const t = texts.workers

export function WorkersPage() {
  const { value, problem } = workers.value
  const live = liveWorkers.value
  const ended = useSignal(false)
  const gone = [...(value?.values() ?? [])].filter((w) => w.state === 'terminated')
  const reserved = live.reduce((n, w) => n + (w.reserved.cpu ?? 0), 0)
  const capacity = live.reduce((n, w) => n + (w.capacity.cpu ?? 0), 0)
  return (
    <Page title={t.title} name={t.title} head={live.length > 0 ? <span class="muted">{t.summary(live.length, cpu(reserved), cpu(capacity))}</span> : null}>
      {problem && !value ? <Failed problem={problem} again={() => void loadWorkers()} /> : null}
      {!value ? problem ? null : <Loading rows={6} /> : live.length === 0 ? <Empty {...texts.noWorker} /> : null}
      <ul class="cards">
        {live.map((w) => (
          <Card key={w.id} worker={w} />
        ))}
      </ul>
      {gone.length > 0 ? (
        <details open={ended.value} onToggle={(e) => (ended.value = e.currentTarget.open)}>
          <summary>{t.showEnded(gone.length)}</summary>
          {ended.value ? (
            <ul class="cards">
              {gone.slice(-100).map((w) => (
                <Card key={w.id} worker={w} />
              ))}
            </ul>
          ) : null}
        </details>
      ) : null}
    </Page>
  )
}

function Card({ worker: w }: { worker: Worker }) {
  return (
    <li class="card">
      <h2>
        <a href={`/workers/${w.id}`}>{visible(w.name)}</a> <WorkerState state={w.state} draining={w.draining} cordoned={w.cordoned} />
      </h2>
      <Amounts worker={w} />
      <p class="muted">
        {[w.os && w.arch ? `${w.os}/${w.arch}` : '', ...labels(w)].filter(Boolean).map(visible).join('  ')}
        <span class="end">{w.jobs > 0 ? t.jobs(w.jobs) : t.empty}</span>
      </p>
    </li>
  )
}

const labels = (w: Worker) =>
  Object.entries(w.labels ?? {})
    .filter(([k]) => k !== 'os' && k !== 'arch')
    .map(([k, v]) => `${k}=${v}`)

function Amounts({ worker: w }: { worker: Worker }) {
  const rows: [string, (n: number) => string, 'cpu' | 'memory_bytes'][] = [
    [t.cpu, cpu, 'cpu'],
    [t.memory, bytes, 'memory_bytes'],
  ]
  return (
    <div class="amounts">
      {rows.map(([name, write, field]) => {
        const used = w.used?.[field] ?? 0
        const reserved = w.reserved[field] ?? 0
        const of = w.capacity[field] ?? 0
        return (
          <div key={name}>
            <span class="muted">{name}</span>
            <Bar label={t.bar(name, write(used), write(reserved), write(of))} used={used} reserved={reserved} of={of} />
            <span class="mono">
              {write(reserved)} <span class="muted">{t.reserved},</span> {w.used ? `${write(used)} ` : ''}
              {w.used ? <span class="muted">{t.used},</span> : null} <span class="muted">{t.capacity}</span> {write(of)}
            </span>
          </div>
        )
      })}
    </div>
  )
}

export function WorkerPage({ id }: { id: string }) {
  const worker = useComputed(() => workers.value.value?.get(id) ?? [...(workers.value.value?.values() ?? [])].find((w) => w.name === id))
  const w = worker.value
  const problem = workers.value.problem
  const jobs = useMemo(() => new JobList({ state: 'bound,running', namespace: '' }, 1000), [id])
  useEffect(() => () => jobs.close(), [jobs])
  const events = useSignal<LogEvent[] | undefined>(undefined)
  const eventsProblem = useSignal<Problem | undefined>(undefined)
  const look = async () => {
    const key = worker.peek()?.id
    if (!key) return
    try {
      events.value = (await ask<{ items: LogEvent[] }>(query('/v1/events', { stream: `worker-${key}`, order: 'desc', limit: 50 }))).items
      eventsProblem.value = undefined
    } catch (e) {
      eventsProblem.value = asProblem(e)
    }
  }
  // Its events are read when it came into another state.
  const mark = useComputed(() => (worker.value ? [worker.value.id, worker.value.state, worker.value.since, worker.value.draining, worker.value.cordoned].join() : ''))
  useSignalEffect(() => {
    if (mark.value) void look()
  })
  if (!w)
    return (
      <Page title={visible(id)} name={visible(id)}>
        {problem ? <Failed problem={problem} again={() => void loadWorkers()} /> : workers.value.value ? <div class="empty">{t.noSuch(visible(id))}</div> : <Loading rows={6} />}
      </Page>
    )
  const f = t.facts
  const facts: [string, string][] = [
    [f.id, w.id],
    [f.since, `${clock(w.since)}, ${t.ago(age(secondsBetween(w.since, undefined, now.value) ?? 0))}`],
    [f.os, [w.os, w.arch].filter(Boolean).join('/')],
    [f.version, w.version ?? ''],
    [f.provider, w.provider ?? ''],
    [f.pool, w.pool ?? ''],
    [f.labels, labels(w).join('  ')],
    [f.heard, w.state !== 'online' && w.last_heard_at ? clock(w.last_heard_at) : ''],
  ]
  const on = jobs.rows.value.filter((j) => j.worker === w.id)
  return (
    <Page title={visible(w.name)} name={visible(w.name)} head={<WorkerState state={w.state} draining={w.draining} cordoned={w.cordoned} />}>
      <dl class="facts">
        {facts.map(([name, value]) =>
          value ? (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{visible(value)}</dd>
            </div>
          ) : null,
        )}
      </dl>
      <Amounts worker={w} />
      <div class="panels">
        <Panel title={t.runs}>
          {on.length === 0 ? (
            <p class="muted">{t.noJobs}</p>
          ) : (
            <ul class="lines">
              {on.slice(0, 100).map((j) => (
                <li key={j.id}>
                  <span class={`s-${j.state}`}>
                    <Glyph state={j.state} />
                    <span class="unseen">{texts.states[j.state]}</span>
                  </span>{' '}
                  <a class="cut" href={`/jobs/${j.id}`}>
                    {visible(j.name) || texts.job.unnamed}
                  </a>
                  <span class="mono end">{j.started_at ? seconds(secondsBetween(j.started_at, undefined, now.value) ?? 0) : texts.none}</span>
                  <span class="muted">{visible(j.namespace)}</span>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <Panel title={t.events}>
          {eventsProblem.value && !events.value ? <Failed problem={eventsProblem.value} again={() => void look()} /> : events.value ? <EventLines events={events.value} /> : <Loading />}
        </Panel>
      </div>
    </Page>
  )
}
