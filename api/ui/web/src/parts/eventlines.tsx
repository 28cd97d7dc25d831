// Events in words, and the streams in them as links.
import type { LogEvent } from '../api'
import { clock, visible } from '../format'
import { texts } from '../texts'

/** streamLink leads to what a stream is about, if that has a page. */
export function StreamLink({ stream }: { stream: string }) {
  const [, kind, id] = /^(job|worker)-([0-9a-z]+)$/.exec(stream) ?? []
  if (!kind) return <span class="mono">{visible(stream)}</span>
  return (
    <a class="mono" href={`/${kind}s/${id}`} tabIndex={-1}>
      {stream}
    </a>
  )
}

/** EventLines are a few events, as they are given. */
export function EventLines({ events }: { events: LogEvent[] }) {
  if (events.length === 0) return <p class="muted">{texts.job.noEvents}</p>
  return (
    <ol class="eventlines">
      {events.map((e) => (
        <li key={e.position}>
          <span class="mono muted">{texts.job.position(e.position)}</span> <time class="mono">{clock(e.time, true)}</time> <span>{visible(e.text)}</span>
          {e.actor ? <span class="muted"> {visible(e.actor)}</span> : null}
        </li>
      ))}
    </ol>
  )
}
