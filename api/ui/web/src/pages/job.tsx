import { signal, useSignal, type Signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import { ask, query, type Job, type LogEvent, type Problem, type State, type Step } from '../api'
import { bytes, clock, cpu, amountBytes, seconds, secondsBetween, visible } from '../format'
import * as changes from '../live/changes'
import { LogModel } from '../log/model'
import { LogView } from '../log/view'
import { EventLines } from '../parts/eventlines'
import { useKeys } from '../parts/keys'
import { Failed, Loading, Page } from '../parts/panel'
import { why } from '../parts/shell'
import { Glyph, type Shown } from '../parts/state'
import { UsageTab } from '../parts/usage'
import { parameters, put } from '../router'
import { asProblem, can, now, stale } from '../store'
import { texts } from '../texts'

const t = texts.job
const over = (s: State) => s !== 'pending' && s !== 'bound' && s !== 'running'
type Tab = keyof typeof t.tabs

export function JobPage({ id }: { id: string }) {
  const job = useSignal<Job | undefined>(undefined)
  const problem = useSignal<Problem | undefined>(undefined)
  const read = async () => {
    try {
      job.value = await ask<Job>(`/v1/jobs/${encodeURIComponent(id)}`)
      problem.value = undefined
    } catch (e) {
      problem.value = asProblem(e)
    }
  }
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  const again = () => {
    clearTimeout(timer.current)
    timer.current = setTimeout(() => void read(), 150)
  }
  /** told takes what the list or the log says of it, and asks for the rest. */
  const told = (j: Job) => {
    if (j.id !== id) return
    const was = job.peek()
    if (!was) return
    job.value = { ...j, ...(was.steps ? { steps: was.steps } : {}), ...(was.usage ? { usage: was.usage } : {}), ...(was.spec ? { spec: was.spec } : {}) }
    again()
  }
  useEffect(() => {
    void read()
    const off = [changes.on('job', told), changes.on('reset', () => void read())]
    return () => {
      clearTimeout(timer.current)
      for (const f of off) f()
    }
  }, [id])
  const j = job.value
  if (!j)
    return (
      <Page title={<span class="mono">{visible(id)}</span>} name={visible(id)}>
        {!problem.value ? <Loading rows={8} /> : problem.value.status === 404 ? <div class="empty">{t.noSuch(visible(id))}</div> : <Failed problem={problem.value} again={() => void read()} />}
      </Page>
    )
  return <Whole job={j} told={told} />
}

function Whole({ job: j, told }: { job: Job; told: (j: Job) => void }) {
  const name = visible(j.name) || t.unnamed
  const tab = (parameters.value.get('tab') ?? 'log') as Tab
  const only = Number(parameters.value.get('attempt') ?? 0)
  const copied = useSignal('')
  const copy = (what: string, text: string) => {
    void navigator.clipboard?.writeText(text).then(() => {
      copied.value = what
      setTimeout(() => (copied.value = ''), 2000)
    })
  }
  const link = () => copy('link', location.href)
  const command = () => copy('command', `hodei job get ${j.id}`)
  useKeys({ y: link, c: command })
  const state = texts.states[j.state]
  return (
    <Page
      name={`${texts.glyphs[j.state]} ${name}`}
      title={
        <>
          <span class={`s-${j.state} big`}>
            <Glyph state={j.state as Shown} />
          </span>{' '}
          {name}{' '}
          <span class={`s-${j.state} word`}>
            {state}
            {why(j) && j.state !== 'succeeded' ? `: ${visible(why(j))}` : ''}
          </span>
        </>
      }
      head={
        <div class="actions">
          <Cancel job={j} />
          <button type="button" onClick={link}>
            {copied.value === 'link' ? t.copied : t.copy}
          </button>
          <button type="button" onClick={command}>
            {copied.value === 'command' ? t.copied : t.command}
          </button>
        </div>
      }
    >
      <Notes job={j} />
      <Facts job={j} />
      {j.steps && j.steps.length > 1 ? <Strip steps={j.steps} /> : null}
      <div class="tabs" role="tablist" aria-label={t.tabList}>
        {(Object.keys(t.tabs) as Tab[]).map((x) => (
          <button key={x} type="button" role="tab" id={`tab-${x}`} aria-selected={x === tab} aria-controls="tabpanel" tabIndex={x === tab ? 0 : -1} onClick={() => put('tab', x === 'log' ? '' : x)} onKeyDown={arrows}>
            {t.tabs[x]}
          </button>
        ))}
        {j.attempt > 1 ? <Attempts of={j.attempt} only={only} /> : null}
      </div>
      <div role="tabpanel" id="tabpanel" class="tabpanel" aria-labelledby={`tab-${tab}`}>
        {tab === 'usage' ? (
          <UsageTab job={j} attempt={only} />
        ) : tab === 'events' ? (
          <Events job={j} />
        ) : tab === 'spec' ? (
          <pre class="spec" tabIndex={0} aria-label={t.spec}>
            {visible2(JSON.stringify(j.spec, null, 2))}
          </pre>
        ) : (
          <Log key={`${j.id}/${only}`} job={j} only={only} told={told} />
        )}
      </div>
    </Page>
  )
}

/** toStep is the step that the log is asked to show. */
const toStep = signal(0)

/** Strip shows the steps side by side, as wide as they took long. */
function Strip({ steps }: { steps: Step[] }) {
  const total = steps.reduce((n, s) => n + (s.seconds ?? 0), 0)
  return (
    <div class="strip" role="group" aria-label={t.steps}>
      {steps.map((s) => (
        <button
          key={s.step}
          type="button"
          class={`s-${s.state}`}
          style={{ flexGrow: total > 0 ? 1 + (20 * (s.seconds ?? 0)) / total : 1 }}
          onClick={() => {
            put('tab', '')
            toStep.value = s.step
          }}
        >
          <Glyph state={s.state} />
          <span>{texts.log.step(s.step, visible(s.name))}</span>
          <span class="unseen">{texts.states[s.state]}</span>
          <span class="muted mono">{s.seconds === undefined ? '' : seconds(s.seconds)}</span>
        </button>
      ))}
    </div>
  )
}

/** visible2 is visible for text of several lines. */
const visible2 = (text: string) => text.split('\n').map(visible).join('\n')

function arrows(e: KeyboardEvent) {
  const by = e.key === 'ArrowRight' ? 'nextElementSibling' : e.key === 'ArrowLeft' ? 'previousElementSibling' : undefined
  const to = by && (e.currentTarget as HTMLElement)[by]
  if (to instanceof HTMLButtonElement) {
    to.click()
    to.focus()
  }
}

function Attempts({ of, only }: { of: number; only: number }) {
  return (
    <select class="end" aria-label={texts.log.attemptLabel} value={String(only)} onChange={(e) => put('attempt', e.currentTarget.value === '0' ? '' : e.currentTarget.value)}>
      <option value="0">{t.newest}</option>
      {Array.from({ length: of }, (_, i) => of - i).map((a) => (
        <option key={a} value={String(a)}>
          {t.attempt(a, of)}
        </option>
      ))}
    </select>
  )
}

function Log({ job: j, only, told }: { job: Job; only: number; told: (j: Job) => void }) {
  const model = useMemo(() => new LogModel(j.id, only, told), [j.id, only])
  useEffect(() => () => model.close(), [model])
  const failed = j.state === 'failed' || j.state === 'timed_out' ? j.steps?.find((s) => s.state === 'failed' || s.state === 'timed_out')?.step : undefined
  const ended = over(j.state)
  const begunOver = useRef(ended) // how it is read does not change when it ends
  return <LogView model={model} over={begunOver.current} toStep={toStep} failedStep={failed ?? (ended && j.state !== 'succeeded' ? -1 : undefined)} />
}

function Notes({ job: j }: { job: Job }) {
  const notes = [j.explanation, j.help, j.waits_for_input ? t.waitsForInput : '', j.escaped ? t.escaped : ''].filter(Boolean)
  if (notes.length === 0) return null
  return (
    <div class="notes">
      {notes.map((n) => (
        <p key={n}>{visible(n)}</p>
      ))}
    </div>
  )
}

function Facts({ job: j }: { job: Job }) {
  const at = now.value
  const f = t.facts
  const waited = secondsBetween(j.submitted_at, j.started_at ?? j.finished_at, at)
  const took = secondsBetween(j.started_at, j.finished_at, at)
  const memory = j.usage?.peak_memory_bytes
  const limit = amountBytes(j.spec?.resources?.memory)
  const peak = [memory ? (limit ? texts.usage.of(bytes(memory), bytes(limit)) : bytes(memory)) : '', j.usage?.peak_cpu ? `${cpu(j.usage.peak_cpu)} CPU` : ''].filter(Boolean).join(', ')
  const asked = [j.spec?.resources?.cpu ? `${visible(j.spec.resources.cpu)} CPU` : '', limit ? bytes(limit) : ''].filter(Boolean).join(', ')
  const facts: [string, ComponentChildren][] = [
    [f.job, <span class="mono">{j.id}</span>],
    [f.namespace, visible(j.namespace)],
    [f.worker, j.worker ? <a href={`/workers/${j.worker}`}>{visible(j.worker_name) || j.worker}</a> : ''],
    [f.submitted, <span class="mono">{clock(j.submitted_at)}</span>],
    [f.waited, waited === undefined ? '' : <span class="mono">{seconds(waited)}</span>],
    [j.finished_at ? f.took : f.running, took === undefined ? '' : <span class="mono">{seconds(took)}</span>],
    [f.finished, j.finished_at ? <span class="mono">{clock(j.finished_at)}</span> : ''],
    [texts.queue.needs.toLowerCase(), asked],
    [f.peak, peak],
    [f.exit, j.exit_code === undefined ? '' : String(j.exit_code)],
    [f.signal, j.signal ? visible(j.signal) : ''],
    [f.attempt, j.attempt > 1 ? String(j.attempt) : ''],
    [f.priority, j.priority ? String(j.priority) : ''],
  ]
  return (
    <dl class="facts">
      {facts.map(([name, value]) =>
        value ? (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ) : null,
      )}
    </dl>
  )
}

function Cancel({ job: j }: { job: Job }) {
  const asking = useSignal(false)
  const said = useSignal('')
  if (over(j.state)) return null
  if (!can('submitter')) return null
  if (j.cancelling) return <span class="muted">{t.cancelling}</span>
  const cancel = async () => {
    asking.value = false
    try {
      await ask(`/v1/jobs/${j.id}/cancel`, { method: 'POST', body: {} })
      said.value = t.cancelled
    } catch (e) {
      said.value = visible(asProblem(e).message) || texts.noAnswer
    }
  }
  return (
    <>
      <span role="status">{said.value}</span>
      {asking.value ? (
        <span class="ask">
          {t.cancelAsk(visible(j.name))}{' '}
          <button type="button" class="danger" onClick={() => void cancel()}>
            {t.cancelYes}
          </button>{' '}
          <button type="button" onClick={() => (asking.value = false)}>
            {t.cancelNo}
          </button>
        </span>
      ) : (
        <button type="button" disabled={stale.value} onClick={() => (asking.value = true)}>
          {t.cancel}
        </button>
      )}
    </>
  )
}

function Events({ job: j }: { job: Job }) {
  const list: Signal<LogEvent[] | undefined> = useSignal(undefined)
  const problem: Signal<Problem | undefined> = useSignal(undefined)
  const read = async () => {
    try {
      list.value = (await ask<{ items: LogEvent[] }>(query(`/v1/jobs/${j.id}/events`, { limit: 1000 }))).items
      problem.value = undefined
    } catch (e) {
      problem.value = asProblem(e)
    }
  }
  useEffect(() => void read(), [j]) // with each change of the job
  if (list.value) return <EventLines events={list.value} />
  return problem.value ? <Failed problem={problem.value} again={() => void read()} /> : <Loading />
}
