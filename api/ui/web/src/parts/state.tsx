// A state is shape and word; its colour is extra.
import type { JSX } from 'preact'
import { texts } from '../texts'

export type Shown = keyof typeof texts.states

// Drawn rather than written, so that it looks the same with every font.
const shapes: Record<Shown, JSX.Element> = {
  pending: <circle cx="8" cy="8" r="5" class="line" />,
  bound: (
    <>
      <circle cx="8" cy="8" r="5" class="line" />
      <path d="M8 3a5 5 0 0 0 0 10z" class="fill" />
    </>
  ),
  running: <path d="M4.5 2.5v11l8.5-5.5z" class="fill" />,
  succeeded: <path d="M3 8.5l3.4 3.5L13 4.5" class="line thick" />,
  failed: (
    <>
      <path d="M5.2 1.2h5.6l4 4v5.6l-4 4H5.2l-4-4V5.2z" class="fill" />
      <path d="M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2" class="hole" />
    </>
  ),
  cancelled: (
    <>
      <circle cx="8" cy="8" r="5.5" class="line" />
      <path d="M4.3 11.7l7.4-7.4" class="line" />
    </>
  ),
  timed_out: (
    <>
      <circle cx="8" cy="8" r="5.5" class="line" />
      <path d="M8 4.5V8H4.7" class="line" />
    </>
  ),
  lost: (
    <>
      <path d="M8 .4L15.6 8 8 15.6.4 8z" class="fill" />
      <path d="M5.9 6.3C5.9 3.2 10.1 3.4 10.1 6.1 10.1 7.9 8 7.8 8 9.6" class="hole" />
      <circle cx="8" cy="12.1" r="1.1" class="dot" />
    </>
  ),
  skipped: <path d="M4 8h8" class="line" />,
}

export function Glyph({ state }: { state: Shown }) {
  return (
    <svg class={`glyph s-${state}`} viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" focusable="false">
      {shapes[state] ?? shapes.pending}
    </svg>
  )
}

export function StateMark({ state, extra }: { state: Shown; extra?: string | undefined }) {
  return (
    <span class={`state s-${state}`}>
      <Glyph state={state} /> <span>{texts.states[state] ?? state}</span>
      {extra ? <span class="extra"> {extra}</span> : null}
    </span>
  )
}

/** A worker's connection, and what people did to it. */
export function WorkerState({ state, draining, cordoned }: { state: string; draining?: boolean | undefined; cordoned?: boolean | undefined }) {
  const word = state === 'online' && draining ? 'draining' : state === 'online' && cordoned ? 'cordoned' : state
  const shape = word === 'online' ? '●' : word === 'draining' ? '▽' : word === 'cordoned' ? '⊘' : word === 'lost' ? '◆' : word === 'disconnected' ? '◌' : '○'
  return (
    <span class={`wstate w-${word}`}>
      <span aria-hidden="true">{shape}</span> {texts.workerStates[word] ?? word}
    </span>
  )
}
