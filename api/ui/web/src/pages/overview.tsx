import { useEffect, useMemo } from 'preact/hooks'
import type { Job, QueueClass, Worker } from '../api'
import { bytes, clock, count, cpu, seconds, secondsBetween, visible } from '../format'
import { JobList } from '../live/joblist'
import { Bar, Empty, Failed, Loading, Page, Panel } from '../parts/panel'
import { why } from '../parts/shell'
import { Glyph, WorkerState, type Shown } from '../parts/state'
import { counts, liveWorkers, loadCounts, loadQueue, loadWorkers, now, queue, workers } from '../store'
import { texts } from '../texts'

const t = texts.overview
const lately = 600 // s
const shown = 8

/** useJobs is a list of jobs in some states that lives as long as the page. */
function useJobs(state: string): JobList {
  const list = useMemo(() => new JobList({ state, namespace: '' }, 100), [state])
  useEffect(() => () => list.close(), [list])
  return list
}

export function OverviewPage() {
  const broken = useJobs('failed,timed_out,lost')
  const running = useJobs('bound,running')
  const c = counts.value.value
  if (counts.value.problem && !c)
    return (
      <Page title={t.title} name={t.title}>
        <Failed problem={counts.value.problem} again={() => void loadCounts()} />
      </Page>
    )
  const nothing = c && c.running + c.waiting + c.ended === 0
  return (
    <Page title={t.title} name={t.title}>
      <Numbers broken={broken} />
      {nothing ? <Empty {...texts.noJobYet} /> : null}
      <div class="panels">
        <Why />
        <Broke list={broken} />
        <Runs list={running} />
        <WorkersPanel />
      </div>
    </Page>
  )
}

function Numbers({ broken }: { broken: JobList }) {
  const c = counts.value.value
  const recent = broken.rows.value.filter((j) => (secondsBetween(j.finished_at, undefined, now.value) ?? Infinity) < lately)
  const failed = recent.filter((j) => j.state !== 'lost').length
  const more = recent.length === broken.rows.value.length && !broken.whole.value ? '+' : ''
  const online = liveWorkers.value.filter((w) => w.state === 'online')
  const reserved = online.reduce((n, w) => n + (w.reserved.cpu ?? 0), 0)
  const capacity = online.reduce((n, w) => n + (w.capacity.cpu ?? 0), 0)
  return (
    <ul class="numbers">
      <Number to="/jobs?state=bound,running" state="running" value={c ? count(c.running) : undefined} word={t.running} />
      <Number to="/queue" state="pending" value={c ? count(c.waiting) : undefined} word={t.waiting} />
      <Number to="/jobs?state=failed,timed_out" state="failed" value={broken.loaded.value ? `${failed}${more}` : undefined} word={t.failed} extra={t.tenMinutes} />
      <Number to="/jobs?state=lost" state="lost" value={broken.loaded.value ? String(recent.length - failed) : undefined} word={t.lost} extra={t.tenMinutes} />
      <Number to="/workers" value={workers.value.value ? `${cpu(reserved)}/${cpu(capacity)}` : undefined} word={t.cpu} />
    </ul>
  )
}

function Number({ to, state, value, word, extra }: { to: string; state?: Shown; value: string | undefined; word: string; extra?: string }) {
  return (
    <li>
      <a href={to} class={state && value !== '0' ? `s-${state}` : ''}>
        {state ? <Glyph state={state} /> : null} <strong>{value ?? '…'}</strong> <span>{word}</span>
        {extra ? <span class="muted"> {extra}</span> : null}
      </a>
    </li>
  )
}

function Why() {
  const { value: q, problem } = queue.value
  const groups = useMemo(() => grouped(q?.items ?? []), [q])
  const most = Math.max(1, ...groups.map((g) => g.waiting))
  return (
    <Panel title={q && q.waiting === 0 ? t.whyNone : t.why(q?.waiting ?? 0)}>
      {problem && !q ? <Failed problem={problem} again={() => void loadQueue()} /> : null}
      {!q ? (
        problem ? null : <Loading />
      ) : groups.length === 0 ? (
        <p class="muted">{t.nothingWaits}</p>
      ) : (
        <table class="plain">
          <tbody>
            {groups.map((g) => (
              <tr key={g.reason}>
                <th scope="row">
                  <a href="/queue">{texts.reasons[g.reason] ?? visible(g.reason)}</a>
                </th>
                <td class="num">{count(g.waiting)}</td>
                <td class="barcell">
                  <svg class="count" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                    <rect width={(100 * g.waiting) / most} height="8" />
                  </svg>
                </td>
                <td class="muted cut">{visible(g.summary)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  )
}

function grouped(classes: QueueClass[]) {
  const by = new Map<string, { reason: string; waiting: number; summary: string }>()
  for (const c of classes) {
    const reason = c.reason ?? ''
    const g = by.get(reason) ?? { reason, waiting: 0, summary: c.summary ?? '' }
    g.waiting += c.waiting
    by.set(reason, g)
  }
  return [...by.values()].sort((a, b) => b.waiting - a.waiting)
}

function Broke({ list }: { list: JobList }) {
  const rows = list.rows.value
  const groups: { job: Job; times: number }[] = []
  for (const j of rows) {
    const same = groups.find((g) => g.job.name === j.name && g.job.state === j.state && why(g.job) === why(j))
    if (same) same.times++
    else if (groups.length < shown) groups.push({ job: j, times: 1 })
  }
  return (
    <Panel title={t.broke} more={<a href="/jobs?state=failed,timed_out,lost">{t.allBroken}</a>}>
      {list.problem.value && !list.loaded.value ? <Failed problem={list.problem.value} again={() => void list.reload()} /> : null}
      {!list.loaded.value ? (
        list.problem.value ? null : <Loading />
      ) : groups.length === 0 ? (
        <p class="muted">{t.nothingBroke}</p>
      ) : (
        <ul class="lines">
          {groups.map(({ job: j, times }) => (
            <li key={j.id}>
              <span class={`s-${j.state}`}>
                <Glyph state={j.state} />
                <span class="unseen">{texts.states[j.state]}</span>
              </span>{' '}
              <a href={`/jobs/${j.id}`} class="cut">
                {visible(j.name) || texts.job.unnamed}
              </a>{' '}
              <span class="cut muted">{visible(why(j))}</span>
              {times > 1 ? <span>{t.times(times)}</span> : null}
              <span class="mono end">{clock(j.finished_at)}</span>
              <span class="muted">{visible(j.namespace)}</span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

function Runs({ list }: { list: JobList }) {
  const rows = list.rows.value
  return (
    <Panel title={t.runs} more={<a href="/jobs?state=bound,running">{t.allRunning}</a>}>
      {list.problem.value && !list.loaded.value ? <Failed problem={list.problem.value} again={() => void list.reload()} /> : null}
      {!list.loaded.value ? (
        list.problem.value ? null : <Loading />
      ) : rows.length === 0 ? (
        <p class="muted">{t.nothingRuns}</p>
      ) : (
        <ul class="lines">
          {rows.slice(0, shown).map((j) => (
            <li key={j.id}>
              <span class={`s-${j.state}`}>
                <Glyph state={j.state} />
                <span class="unseen">{texts.states[j.state]}</span>
              </span>{' '}
              <a href={`/jobs/${j.id}`} class="cut">
                {visible(j.name) || texts.job.unnamed}
              </a>{' '}
              <span class="cut muted">{visible(j.worker_name)}</span>
              <span class="mono end">{j.started_at ? seconds(secondsBetween(j.started_at, undefined, now.value) ?? 0) : texts.none}</span>
              <span class="muted">{visible(j.namespace)}</span>
            </li>
          ))}
          {rows.length > shown ? <li class="muted">{t.more(rows.length - shown)}</li> : null}
        </ul>
      )}
    </Panel>
  )
}

function WorkersPanel() {
  const { value, problem } = workers.value
  const list = liveWorkers.value
  return (
    <Panel title={t.workers}>
      {problem && !value ? <Failed problem={problem} again={() => void loadWorkers()} /> : null}
      {!value ? (
        problem ? null : <Loading />
      ) : list.length === 0 ? (
        <Empty {...texts.noWorker} />
      ) : (
        <ul class="lines">
          {list.slice(0, 2 * shown).map((w) => (
            <WorkerLine key={w.id} worker={w} />
          ))}
          {list.length > 2 * shown ? (
            <li>
              <a href="/workers">{t.more(list.length - 2 * shown)}</a>
            </li>
          ) : null}
        </ul>
      )}
    </Panel>
  )
}

function WorkerLine({ worker: w }: { worker: Worker }) {
  const of = w.capacity.cpu ?? 0
  const reserved = w.reserved.cpu ?? 0
  const used = w.used?.cpu ?? 0
  return (
    <li>
      <a href={`/workers/${w.id}`} class="cut wname">
        {visible(w.name)}
      </a>
      <Bar label={texts.workers.bar(texts.workers.cpu, cpu(used), cpu(reserved), cpu(of))} used={used} reserved={reserved} of={of} />
      <span class="mono">
        {cpu(reserved)}/{cpu(of)}
      </span>
      <span class="mono muted end">{bytes(w.capacity.memory_bytes ?? 0)}</span>
      <WorkerState state={w.state} draining={w.draining} cordoned={w.cordoned} />
    </li>
  )
}
