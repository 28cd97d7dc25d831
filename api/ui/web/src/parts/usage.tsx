// What an attempt used over time, with what it asked for and its peak.
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { ask, query, type Job, type Problem } from '../api'
import { bytes, clock, cpu } from '../format'
import * as changes from '../live/changes'
import { asProblem, isDark } from '../store'
import { texts } from '../texts'
import { Failed, Loading } from './panel'

const t = texts.usage

interface Spread {
  min: number
  mean: number
  max: number
}

export interface Series {
  attempt: number
  step_seconds: number
  whole: boolean
  requests: { cpu?: number; memory_bytes?: number }
  items: { at: string; seconds: number; cpu: Spread; memory_bytes?: Spread }[]
}

export function UsageTab({ job: j, attempt }: { job: Job; attempt: number }) {
  const series = useSignal<Series | undefined>(undefined)
  const problem = useSignal<Problem | undefined>(undefined)
  const read = async () => {
    try {
      series.value = await ask<Series>(query(`/v1/jobs/${j.id}/usage`, { attempt: attempt || undefined, points: 400 }))
      problem.value = undefined
    } catch (e) {
      problem.value = asProblem(e)
    }
  }
  // What its worker reports of itself comes with what its jobs use.
  useEffect(() => {
    void read()
    if (j.state !== 'running') return
    return changes.on('worker', (w) => {
      if (w.id === j.worker && !document.hidden) void read()
    })
  }, [j.id, j.state, j.attempt, attempt])
  const s = series.value
  if (!s) return problem.value ? <Failed problem={problem.value} again={() => void read()} /> : <Loading rows={6} />
  if (s.items.length === 0) return <div class="empty">{t.none}</div>
  const memory = s.items.filter((p) => p.memory_bytes)
  return (
    <div class="usage">
      {memory.length > 0 ? <Chart name={t.memory} write={bytes} limit={s.requests.memory_bytes} points={memory.map((p) => ({ at: Date.parse(p.at) / 1000, value: p.memory_bytes!.max }))} /> : null}
      <Chart name={t.cpu} write={cpu} limit={s.requests.cpu} points={s.items.map((p) => ({ at: Date.parse(p.at) / 1000, value: p.cpu.mean }))} />
      <details>
        <summary>{t.table}</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={t.table}>
          <table class="classes">
            <thead>
              <tr>
                <th scope="col">{t.time}</th>
                <th scope="col" class="num">
                  {t.memory}
                </th>
                <th scope="col" class="num">
                  {t.cpu}
                </th>
              </tr>
            </thead>
            <tbody>
              {thin(s.items).map((p) => (
                <tr key={p.at}>
                  <td class="mono">{clock(p.at)}</td>
                  <td class="num">{p.memory_bytes ? bytes(p.memory_bytes.max) : texts.none}</td>
                  <td class="num">{cpu(p.cpu.mean)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </div>
  )
}

const tableRows = 60

/** thin leaves so many rows that a table can be read. */
function thin<T>(items: T[]): T[] {
  const every = Math.ceil(items.length / tableRows)
  return items.filter((_, i) => i % every === 0)
}

interface Point {
  at: number
  value: number
}

function Chart({ name, write, limit, points }: { name: string; write: (n: number) => string; limit: number | undefined; points: Point[] }) {
  const ref = useRef<HTMLDivElement>(null)
  const peak = Math.max(...points.map((p) => p.value))
  const dark = isDark.value
  useEffect(() => {
    let drop: (() => void) | undefined
    let gone = false
    void import('./chart').then(({ draw }) => {
      if (!gone && ref.current) drop = draw(ref.current, points, { write, limit, peak, binary: write === bytes })
    })
    return () => {
      gone = true
      drop?.()
    }
  }, [points, dark])
  return (
    <figure class="chart">
      <figcaption>
        <strong>{name}</strong> <span>{t.peak(write(peak))}</span> {limit ? <span class="muted">{t.asked(write(limit))}</span> : null}
      </figcaption>
      <div ref={ref} class="plot" role="img" aria-label={t.chart(name, write(peak))} />
    </figure>
  )
}
