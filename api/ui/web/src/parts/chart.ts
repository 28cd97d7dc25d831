// Draws a chart. It is a part of its own: most pages have none.
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

interface Shown {
  write: (n: number) => string
  limit: number | undefined
  peak: number
  binary: boolean // sizes, whose round numbers are powers of two
}

const height = 160
const times = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 172800, 604800] // s between ticks
const powers = Array.from({ length: 50 }, (_, i) => 2 ** i) // bytes between ticks

/** draw puts a chart into an element, as wide as that is, until it is dropped. */
export function draw(into: HTMLElement, points: { at: number; value: number }[], { write, limit, peak, binary }: Shown): () => void {
  const look = getComputedStyle(document.documentElement)
  const colour = (name: string) => look.getPropertyValue(name).trim()
  const resolved = (name: string) => {
    into.style.color = `var(${name})`
    const c = getComputedStyle(into).color
    into.style.color = ''
    return c || colour(name)
  }
  const [line, muted, grid, warn] = [resolved('--link'), resolved('--muted'), resolved('--faint'), resolved('--failed')]
  const font = '12px system-ui, sans-serif'
  // What was asked for is drawn if that does not flatten what was used.
  const withLimit = limit !== undefined && limit <= peak * 8
  const axis = { stroke: muted, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } }
  const plot = new uPlot(
    {
      width: Math.max(200, into.clientWidth),
      height,
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      legend: { show: false },
      scales: { y: { range: (_, __, max) => [0, Math.max(max, withLimit ? limit : 0, 1e-9) * 1.08] } },
      axes: [
        { ...axis, values: '{HH}:{mm}:{ss}', space: 80, incrs: times },
        { ...axis, size: 80, values: (_, at) => at.map(write), ...(binary ? { incrs: powers } : {}) },
      ],
      series: [{}, { stroke: line, width: 1.5, fill: `color-mix(in srgb, ${line} 15%, transparent)`, points: { show: points.length < 3 } }, { stroke: warn, width: 1, dash: [6, 4], points: { show: false } }],
    },
    [points.map((p) => p.at), points.map((p) => p.value), points.map(() => (withLimit ? limit : null))],
    into,
  )
  const watch = new ResizeObserver(() => plot.setSize({ width: Math.max(200, into.clientWidth), height }))
  watch.observe(into)
  return () => {
    watch.disconnect()
    plot.destroy()
  }
}
