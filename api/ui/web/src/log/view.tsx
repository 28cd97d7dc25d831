// A log on the screen: rows of one height, steps that fold, following until one
// scrolls, searching on the server.
import { useSignal, type Signal } from '@preact/signals'
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks'
import type { ComponentChildren } from 'preact'
import { query, type LogLine, type Step } from '../api'
import { bytes, clock, seconds, visible } from '../format'
import { useKeys } from '../parts/keys'
import { Failed, Loading } from '../parts/panel'
import { StateMark } from '../parts/state'
import { Virtual, type Handle } from '../parts/virtual'
import { hash } from '../router'
import { asProblem, isDark } from '../store'
import { texts } from '../texts'
import { LogModel } from './model'
import { colours, styleOf } from './style'
import { plainText, type Line } from './terminal'

const t = texts.log
const rowHeight = 18
const shownCells = 4096 // of a line, until more is asked for

interface Segment {
  step: Step | undefined
  row: number // of its header, or of its first line if it has none
  from: number // index of its first line
  to: number
  folded: boolean
}

/** segments places headers of steps between lines, and leaves folded lines out. */
export function segments(model: LogModel, folded: Set<number>): { list: Segment[]; rows: number } {
  const named = model.steps.value.filter((s) => s.from !== undefined)
  const total = model.count()
  if (named.length === 0 || (named.length === 1 && model.steps.value.length === 1)) return { list: [{ step: undefined, row: 0, from: 0, to: total, folded: false }], rows: total }
  const list: Segment[] = []
  let row = 0
  const add = (step: Step | undefined, from: number, to: number) => {
    if (!step && from === to) return
    const isFolded = step !== undefined && folded.has(step.step)
    list.push({ step, row, from, to, folded: isFolded })
    row += (step ? 1 : 0) + (isFolded ? 0 : to - from)
  }
  let at = model.indexOf(named[0]!.from!)
  add(undefined, 0, at)
  named.forEach((step, i) => {
    const next = named[i + 1]
    const to = next ? Math.max(at, model.indexOf(next.from!)) : total
    add(step, at, to)
    at = to
  })
  return { list, rows: row }
}

const segmentAt = (list: Segment[], row: number) => list.findLast((s) => s.row <= row)

export function LogView({ model, over, failedStep, toStep }: { model: LogModel; over: boolean; failedStep: number | undefined; toStep: Signal<number> }) {
  void model.version.value
  const folded = useSignal(new Set<number>())
  const times = useSignal(false)
  const following = useSignal(!over)
  const seen = useRef(0) // lines when following stopped
  const handle = useRef<Handle | null>(null)
  const chosen = useSignal(0) // number of the chosen line
  const opened = useSignal(new Set<number>()) // lines shown whole
  const { list, rows } = segments(model, folded.value)
  const total = model.count()

  useLayoutEffect(() => {
    if (following.value) handle.current?.toEnd()
  })
  // Where to begin: a line of the address, the end of what failed, else the top.
  // What this very rendering knows counts: more may have come before the effect runs.
  const begun = useRef(false)
  const settled = model.ready.value && (!over || model.ended.value || model.problem.value !== undefined)
  useEffect(() => {
    if (begun.current || !settled) return
    const line = /^#L(\d+)/.exec(hash.value)
    begun.current = true
    if (line) void toLine(Number(line[1]))
    else if (over && failedStep !== undefined) {
      const s = list.find((x) => x.step?.step === failedStep)
      if (s) handle.current?.show(s.row + s.to - s.from)
      else handle.current?.toEnd()
    } else if (over && model.first > 1) handle.current?.toEnd()
  })

  // A step that was chosen comes to the top, open.
  useEffect(() => {
    const step = toStep.value
    if (step === 0 || !begun.current) return
    toStep.value = 0
    const s = list.find((x) => x.step?.step === step)
    if (!s) return
    if (s.folded) fold(step)
    following.value = false
    seen.current = total
    handle.current?.top(s.row)
  })

  const rowOf = (index: number): number => {
    const s = list.findLast((x) => x.from <= index)
    return s ? s.row + (s.step ? 1 : 0) + (s.folded ? 0 : index - s.from) : index
  }
  const toLine = async (number: number) => {
    following.value = false
    seen.current = model.count()
    if (number < model.first || number >= model.first + model.count()) {
      try {
        await model.around(number)
      } catch (e) {
        model.problem.value = asProblem(e)
        return
      }
    }
    chosen.value = number
    const index = number - model.first
    const s = segments(model, folded.value).list.findLast((x) => x.from <= index)
    if (s?.folded && s.step) fold(s.step.step)
    requestAnimationFrame(() => handle.current?.show(rowOf(index), true))
  }
  // A line whose number was clicked, or a link to one here, is marked where it is.
  useEffect(() => {
    const number = Number(/^#L(\d+)/.exec(hash.value)?.[1] ?? 0)
    if (!begun.current || number === 0 || number === chosen.peek()) return
    if (number < model.first || number >= model.first + model.count()) return void toLine(number)
    following.value = false
    seen.current = model.count()
    chosen.value = number
    handle.current?.show(rowOf(number - model.first))
  }, [hash.value])
  const fold = (step: number) => {
    const next = new Set(folded.value)
    if (!next.delete(step)) next.add(step)
    folded.value = next
  }
  const follow = () => {
    if (model.apart.value) void model.open()
    following.value = true
    handle.current?.toEnd()
  }
  useKeys({ f: () => (following.value ? ((following.value = false), (seen.current = total)) : follow()) })

  const row = (i: number) => {
    const s = segmentAt(list, i)
    if (!s) return null
    if (s.step && i === s.row) return <StepHead key={`s${s.step.step}`} step={s.step} folded={s.folded} lines={s.to - s.from} toggle={() => fold(s.step!.step)} />
    const index = s.from + i - s.row - (s.step ? 1 : 0)
    const line = model.line(index)
    if (!line) return null
    const number = model.first + index
    return <LineRow key={number} line={line} number={number} times={times.value} chosen={chosen.value === number} whole={opened.value.has(number)} open={() => (opened.value = new Set(opened.value).add(number))} />
  }
  const left = total - seen.current
  return (
    <div class="log">
      <div class="logbar">
        <Search model={model} toLine={toLine} />
        <label class="check">
          <input type="checkbox" checked={times.value} onChange={(e) => (times.value = e.currentTarget.checked)} /> {t.times}
        </label>
        <span class="muted">{t.lines(model.first - 1 + total)}</span>
        <a href={query(`/v1/jobs/${model.job}/logs`, { attempt: model.attempt.value || undefined, download: 'true' })} download>
          {t.raw}
        </a>
      </div>
      {model.problem.value ? <Failed problem={model.problem.value} again={() => void model.open()} /> : null}
      {model.broken.value && !model.ended.value ? (
        <p class="muted" role="status">
          {t.broken}
        </p>
      ) : null}
      {model.first > 1 ? (
        <button type="button" class="earlier" onClick={() => void model.earlier().then((n) => handle.current?.show(n), (e) => (model.problem.value = asProblem(e)))}>
          {t.earlier(model.first - 1)}
        </button>
      ) : null}
      {total === 0 && rows === 0 ? (
        !model.ready.value ? (
          <Loading rows={6} />
        ) : model.problem.value ? null : (
          <div class="empty">{over ? t.nothing : model.attempt.value === 0 ? t.waits : t.empty}</div>
        )
      ) : (
        <div class="listbox">
          <Virtual
            class="loglines"
            role="group"
            label={t.label}
            count={rows}
            rowHeight={rowHeight}
            handle={handle}
            row={row}
            onScroll={({ bottom, byHand }) => {
              if (byHand && following.value && !bottom) {
                following.value = false
                seen.current = model.count()
              } else if (byHand && bottom && !over && !model.apart.value) following.value = true
            }}
          />
          {model.apart.value ? (
            <button type="button" class="fresh bottom" onClick={follow}>
              {t.toEnd}
            </button>
          ) : !following.value && !model.ended.value && model.ready.value ? (
            <button type="button" class="fresh bottom" onClick={follow}>
              {t.down(left)}
            </button>
          ) : null}
        </div>
      )}
    </div>
  )
}

function StepHead({ step: s, folded, lines, toggle }: { step: Step; folded: boolean; lines: number; toggle: () => void }) {
  const end = s.exit_code ? t.exit(s.exit_code) : s.signal ? t.signal(visible(s.signal)) : ''
  return (
    <div class={`logstep s-${s.state}`}>
      <button type="button" aria-expanded={!folded} title={t.fold} onClick={toggle}>
        <span aria-hidden="true">{folded ? '▸' : '▾'}</span> <strong>{t.step(s.step, visible(s.name))}</strong> <StateMark state={s.state} /> <span class="muted">{[s.seconds === undefined ? '' : seconds(s.seconds), end, folded ? t.lines(lines) : ''].filter(Boolean).join('  ')}</span>
      </button>
    </div>
  )
}

function LineRow({ line, number, times, chosen, whole, open }: { line: Line; number: number; times: boolean; chosen: boolean; whole: boolean; open: () => void }) {
  const text = typeof line.runs === 'string' ? line.runs : undefined
  const long = !whole && (text ? text.length : plainText(line).length) > shownCells
  return (
    <div class={chosen ? 'logline chosen' : 'logline'} id={`L${number}`}>
      <a class="number" href={`#L${number}`} aria-label={t.line(number)} tabIndex={-1} data-n={number} />
      {times ? <span class="when" data-at={line.at ? clock(line.at, true) : ''} /> : null}
      <span class="text">
        {text !== undefined ? linked(long ? text.slice(0, shownCells) : text) : runs(line, long)}
        {long ? (
          <button type="button" onClick={open}>
            {t.cut(bytes(plainText(line).length - shownCells + line.more))}
          </button>
        ) : line.more > 0 ? (
          <span class="muted">{t.dropped(bytes(line.more))}</span>
        ) : null}
      </span>
    </div>
  )
}

function runs(line: Line, long: boolean): ComponentChildren {
  let left = long ? shownCells : Infinity
  const out: ComponentChildren[] = []
  for (const r of line.runs as { text: string; style: number }[]) {
    if (left <= 0) break
    const text = r.text.slice(0, left)
    left -= text.length
    if (r.style === 0) out.push(linked(text))
    else {
      const s = styleOf(r.style)
      const looks = [s.bold && 'b', s.faint && 'faint', s.italic && 'i', s.underline && 'u', s.strike && 'strike'].filter(Boolean).join(' ')
      out.push(
        <span class={looks} style={colours(r.style, isDark.value)}>
          {linked(text)}
        </span>,
      )
    }
  }
  return out
}

const address = /\bhttps?:\/\/[a-zA-Z0-9.\-_~:/?#[\]@!$&*+,;=%]+[a-zA-Z0-9/_=&#-]/g

/** linked makes links of addresses, which show where they lead. */
function linked(text: string): ComponentChildren {
  if (!text.includes('://')) return text
  const out: ComponentChildren[] = []
  let at = 0
  for (const m of text.matchAll(address)) {
    out.push(text.slice(at, m.index))
    out.push(
      <a href={m[0]} target="_blank" rel="noopener noreferrer nofollow" tabIndex={-1}>
        {m[0]}
      </a>,
    )
    at = m.index + m[0].length
  }
  out.push(text.slice(at))
  return out
}

function Search({ model, toLine }: { model: LogModel; toLine: (n: number) => void }) {
  const field = useRef<HTMLInputElement>(null)
  const found: Signal<{ lines: LogLine[]; count: number; whole: boolean } | undefined> = useSignal(undefined)
  const at = useSignal(0)
  const bad = useSignal('')
  const asked = useRef('')
  const step = (by: number) => {
    const f = found.value
    if (!f || f.lines.length === 0) return
    at.value = (at.value + by + f.lines.length) % f.lines.length
    toLine(f.lines[at.value]!.line)
  }
  const search = async (text: string) => {
    asked.current = text
    bad.value = ''
    if (!text) return void (found.value = undefined)
    try {
      const escaped = text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
      const answer = await model.search(text === text.toLowerCase() ? `(?i)${escaped}` : escaped)
      if (asked.current !== text) return
      found.value = { lines: answer.lines, count: answer.count, whole: answer.complete }
      at.value = 0
      if (answer.lines[0]) toLine(answer.lines[0].line)
    } catch (e) {
      bad.value = visible(asProblem(e).message)
    }
  }
  useKeys({ '/': () => field.current?.focus(), n: () => step(1), N: () => step(-1) })
  const result = useMemo(() => (found.value ? (found.value.count === 0 ? t.noMatch : t.count(at.value + 1, found.value.count, found.value.whole)) : ''), [found.value, at.value])
  return (
    <form
      role="search"
      onSubmit={(e) => {
        e.preventDefault()
        const text = field.current?.value ?? ''
        if (found.value && text === asked.current) step(1)
        else void search(text)
      }}
    >
      <input ref={field} type="search" aria-label={t.search} placeholder={t.search} onInput={(e) => e.currentTarget.value === '' && void search('')} />
      <span class="muted result" role="status">
        {bad.value || result}
      </span>
      {found.value && found.value.count > 0 ? (
        <>
          <button type="button" aria-label={t.previous} onClick={() => step(-1)}>
            ↑
          </button>
          <button type="button" aria-label={t.next} onClick={() => step(1)}>
            ↓
          </button>
        </>
      ) : null}
    </form>
  )
}

