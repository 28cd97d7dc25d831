import { useComputed } from '@preact/signals'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { me, type Job } from '../api'
import { age, secondsBetween, seconds, visible } from '../format'
import { JobList } from '../live/joblist'
import { useKeys } from '../parts/keys'
import { Empty, Failed, Loading, Page } from '../parts/panel'
import { why } from '../parts/shell'
import { Glyph, StateMark, type Shown } from '../parts/state'
import { Virtual, type Handle } from '../parts/virtual'
import { go, parameters, put } from '../router'
import { narrow, now } from '../store'
import { texts } from '../texts'

const states = ['pending', 'bound', 'running', 'succeeded', 'failed', 'cancelled', 'timed_out', 'lost'] as const
const t = texts.jobs

// The list outlives its page, so that Back finds it as it was left.
let last: JobList | undefined

function listFor(state: string, namespace: string): JobList {
  if (last && last.filter.state === state && last.filter.namespace === namespace) return last
  last?.close()
  return (last = new JobList({ state, namespace }))
}

export function JobsPage() {
  const q = parameters.value
  const state = q.get('state') ?? ''
  const namespace = q.get('namespace') ?? ''
  const words = (q.get('q') ?? '').toLowerCase()
  const list = useMemo(() => listFor(state, namespace), [state, namespace])
  const field = useRef<HTMLInputElement>(null)
  const found = useComputed(() => list.rows.value)
  const rows = words ? found.value.filter((j) => j.name.toLowerCase().includes(words) || j.id.startsWith(words)) : found.value
  useKeys({ '/': () => field.current?.focus() })
  return (
    <Page title={t.title} name={t.title}>
      <div class="filters" role="search">
        <input ref={field} type="search" aria-label={t.filter} placeholder={t.filter} value={q.get('q') ?? ''} onInput={(e) => put('q', e.currentTarget.value)} />
        <StateFilter chosen={state} />
        {me.value?.namespace === '*' ? <NamespaceFilter chosen={namespace} rows={found.value} /> : null}
        <span class="muted" role="status">
          {list.loaded.value ? (words ? t.found(rows.length, found.value.length, list.whole.value) : t.shown(rows.length, list.whole.value)) : ''}
        </span>
      </div>
      {list.problem.value ? <Failed problem={list.problem.value} again={() => void list.reload()} /> : null}
      {!list.loaded.value ? (
        list.problem.value ? null : <Loading rows={8} />
      ) : rows.length === 0 && list.whole.value ? (
        state || namespace || words ? (
          <div class="empty">
            <p>{t.none}</p>
            <button type="button" onClick={() => go('/jobs')}>
              {t.clear}
            </button>
          </div>
        ) : (
          <Empty {...texts.noJobYet} />
        )
      ) : (
        <Rows list={list} rows={rows} filtered={words !== ''} />
      )}
    </Page>
  )
}

function StateFilter({ chosen }: { chosen: string }) {
  const set = new Set(chosen ? chosen.split(',') : [])
  return (
    <div class="chips" role="group" aria-label={t.states}>
      {states.map((s) => (
        <button
          key={s}
          type="button"
          class={`chip s-${s}`}
          aria-pressed={set.has(s)}
          onClick={() => {
            if (!set.delete(s)) set.add(s)
            put('state', states.filter((x) => set.has(x)).join(','))
          }}
        >
          <Glyph state={s} /> {texts.states[s]}
        </button>
      ))}
    </div>
  )
}

function NamespaceFilter({ chosen, rows }: { chosen: string; rows: Job[] }) {
  const names = useMemo(() => [...new Set([...rows.map((j) => j.namespace), ...(chosen ? [chosen] : [])])].sort(), [rows, chosen])
  if (names.length < 2 && !chosen) return null
  return (
    <select aria-label={t.namespace} value={chosen} onChange={(e) => put('namespace', e.currentTarget.value)}>
      <option value="">{t.allNamespaces}</option>
      {names.map((n) => (
        <option key={n} value={n}>
          {visible(n)}
        </option>
      ))}
    </select>
  )
}

function Rows({ list, rows, filtered }: { list: JobList; rows: Job[]; filtered: boolean }) {
  const handle = useRef<Handle | null>(null)
  const [chosen, choose] = useState(list.chosen)
  const over = useRef(false)
  const scrolled = useRef(list.kept > 0)
  const index = rows.findIndex((j) => j.id === chosen)
  const hold = () => list.hold(over.current || scrolled.current)
  useEffect(() => {
    hold()
    return () => list.hold(false)
  }, [list])
  // A filter over what was read may leave little of it: then more is read.
  useEffect(() => {
    if (filtered && rows.length < 50) void list.older()
  }, [filtered, rows.length, list.rows.value.length])

  const move = (to: number) => {
    const j = rows[Math.max(0, Math.min(rows.length - 1, to))]
    if (!j) return
    choose((list.chosen = j.id))
    handle.current?.show(rows.indexOf(j))
    requestAnimationFrame(() => handle.current?.element?.querySelector<HTMLElement>('[data-chosen]')?.focus({ preventScroll: true }))
  }
  // Keys may come faster than rows are drawn.
  const at = () => rows.findIndex((j) => j.id === list.chosen)
  useKeys({ j: () => move(at() + 1), k: () => move(at() - 1) })
  const keys = (e: KeyboardEvent) => {
    const step: Record<string, number> = { ArrowDown: at() + 1, ArrowUp: at() - 1, Home: 0, End: rows.length - 1, PageDown: at() + 15, PageUp: at() - 15 }
    if (e.key === 'Enter' && (e.target as Element).tagName !== 'A') {
      const chosen = rows[at()]
      if (chosen) go(`/jobs/${chosen.id}`)
    }
    else if (e.key in step) {
      e.preventDefault()
      move(step[e.key]!)
    }
  }
  return (
    <div class="listbox" onPointerEnter={() => ((over.current = true), hold())} onPointerLeave={() => ((over.current = false), hold())}>
      {list.fresh.value > 0 ? (
        <button
          type="button"
          class="fresh"
          onClick={() => {
            list.release()
            handle.current?.show(0)
          }}
        >
          {t.fresh(list.fresh.value)}
        </button>
      ) : null}
      <Virtual
        class="jobs"
        role="grid"
        label={t.label}
        tabIndex={index < 0 ? 0 : -1}
        rowCount={list.whole.value ? rows.length + 1 : -1}
        count={rows.length}
        rowHeight={narrow.value ? 56 : 32}
        handle={handle}
        kept={list.kept}
        keys={keys}
        head={<Head />}
        onScroll={({ top, last: end }) => {
          list.kept = top
          scrolled.current = top > 0
          hold()
          if (end > rows.length - 60) void list.older()
        }}
        row={(i) => <Row key={rows[i]!.id} job={rows[i]!} index={i} chosen={rows[i]!.id === chosen} choose={() => choose((list.chosen = rows[i]!.id))} />}
      />
    </div>
  )
}

const columns = [t.state, t.name, t.namespace, t.worker, t.attempt, t.age, t.waited, t.took, t.why, t.id]

function Head() {
  return (
    <div class="row head" role="row" aria-rowindex={1}>
      {columns.map((c, i) => (
        <span key={c} role="columnheader" class={i >= 4 && i <= 7 ? 'num' : ''}>
          {c}
        </span>
      ))}
    </div>
  )
}

function Row({ job: j, index, chosen, choose }: { job: Job; index: number; chosen: boolean; choose: () => void }) {
  const at = now.value
  const waited = secondsBetween(j.submitted_at, j.started_at ?? j.finished_at, at)
  const took = secondsBetween(j.started_at, j.finished_at, at)
  return (
    <div class={chosen ? 'row chosen' : 'row'} role="row" aria-rowindex={index + 2} aria-selected={chosen} tabIndex={chosen ? 0 : -1} data-chosen={chosen || undefined} data-id={j.id} onFocus={choose} onDblClick={() => go(`/jobs/${j.id}`)}>
      <span role="gridcell">
        <StateMark state={j.state as Shown} extra={j.cancelling ? texts.job.cancelling : undefined} />
      </span>
      <span role="gridcell" class="name">
        <a href={`/jobs/${j.id}`} tabIndex={-1} title={visible(j.name)}>
          {visible(j.name) || texts.job.unnamed}
        </a>
      </span>
      <span role="gridcell">{visible(j.namespace)}</span>
      <span role="gridcell">{j.worker ? <a href={`/workers/${j.worker}`} tabIndex={-1}>{visible(j.worker_name) || j.worker}</a> : texts.none}</span>
      <span role="gridcell" class="num">
        {j.attempt || texts.none}
      </span>
      <span role="gridcell" class="num">
        {age(secondsBetween(j.submitted_at, undefined, at) ?? 0)}
      </span>
      <span role="gridcell" class="num">
        {waited === undefined ? texts.none : seconds(waited)}
      </span>
      <span role="gridcell" class="num">
        {took === undefined ? texts.none : seconds(took)}
      </span>
      <span role="gridcell" class="why" title={visible(why(j))}>
        {visible(why(j)) || texts.none}
      </span>
      <span role="gridcell" class="mono id">
        {j.id}
      </span>
    </div>
  )
}
