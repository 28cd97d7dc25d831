// A list of which only the rows in sight exist: what it costs follows the screen.
import type { ComponentChildren, RefObject } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

const around = 8 // rows above and below that exist already
const highest = 15_000_000 // px; browsers draw no more, so beyond it scrolling is mapped

export interface Handle {
  /** show scrolls until a row is in sight: at the edge, or in the middle. */
  show: (index: number, middle?: boolean) => void
  top: (index: number) => void
  toEnd: () => void
  /** bottom says whether the last row is in sight. */
  bottom: () => boolean
  element: HTMLElement | null
}

export interface VirtualProps {
  count: number
  rowHeight: number
  row: (index: number) => ComponentChildren
  handle?: RefObject<Handle | null> | { current: Handle | null }
  class?: string
  onScroll?: (at: { top: number; bottom: boolean; first: number; last: number; byHand: boolean }) => void
  /** kept is where it stood before, in px. */
  kept?: number
  role?: 'grid' | 'list' | 'group'
  label: string
  rowCount?: number
  keys?: (e: KeyboardEvent) => void
  head?: ComponentChildren
  tabIndex?: number
}

export function Virtual(p: VirtualProps) {
  const ref = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(p.kept ?? 0)
  const [height, setHeight] = useState(600)
  const programmed = useRef(-1) // the place it was scrolled to by us
  const whole = p.count * p.rowHeight
  const drawn = Math.min(whole, highest)
  // factor maps a place in what is drawn to one in the whole.
  const factor = whole > drawn && drawn > height ? (whole - height) / (drawn - height) : 1

  useLayoutEffect(() => {
    const e = ref.current
    if (!e) return
    setHeight(e.clientHeight)
    if (p.kept) e.scrollTop = programmed.current = p.kept
    const watch = new ResizeObserver(() => setHeight(e.clientHeight))
    watch.observe(e)
    return () => watch.disconnect()
  }, [])

  const offset = top * factor
  const first = Math.max(0, Math.floor(offset / p.rowHeight) - around)
  const last = Math.min(p.count, Math.ceil((offset + height) / p.rowHeight) + around)
  const at = factor === 1 ? first * p.rowHeight : top - (offset - first * p.rowHeight)

  if (p.handle) {
    const to = (px: number) => {
      const e = ref.current
      if (!e) return
      e.scrollTop = Math.max(0, px)
      programmed.current = e.scrollTop
      setTop(e.scrollTop)
    }
    p.handle.current = {
      show(index, middle) {
        const e = ref.current
        if (!e) return
        const y = index * p.rowHeight
        const from = e.scrollTop * factor
        if (middle) to((y - height / 2) / factor)
        else if (y < from) to(y / factor)
        else if (y + p.rowHeight > from + e.clientHeight) to((y + p.rowHeight - e.clientHeight) / factor)
      },
      top: (index) => to((index * p.rowHeight) / factor),
      toEnd: () => to(drawn),
      bottom: () => !ref.current || ref.current.scrollTop + ref.current.clientHeight >= drawn - p.rowHeight / 2,
      element: ref.current,
    }
  }

  // Also after what a scroll draws: only then is it known which rows are in sight.
  useEffect(() => {
    report(false)
  }, [p.count, height, first, last])

  function report(byHand: boolean) {
    const e = ref.current
    if (!e) return
    p.onScroll?.({ top: e.scrollTop, bottom: e.scrollTop + e.clientHeight >= drawn - p.rowHeight / 2, first, last, byHand })
  }

  const rows: ComponentChildren[] = []
  for (let i = first; i < last; i++) rows.push(p.row(i))
  return (
    <div
      ref={ref}
      class={`virtual ${p.class ?? ''}`}
      role={p.role ?? 'list'}
      aria-label={p.label}
      aria-rowcount={p.rowCount}
      tabIndex={p.tabIndex ?? 0}
      onKeyDown={p.keys}
      onScroll={() => {
        const e = ref.current
        if (!e) return
        const byHand = Math.abs(e.scrollTop - programmed.current) > 2
        if (byHand) programmed.current = -1
        setTop(e.scrollTop)
        report(byHand)
      }}
    >
      {p.head}
      <div class="virtualroom" role="presentation" style={{ height: `${drawn}px` }}>
        <div class="virtualrows" role={p.role === 'grid' ? 'rowgroup' : 'presentation'} style={{ transform: `translateY(${at}px)` }}>
          {rows}
        </div>
      </div>
    </div>
  )
}
