// Events in words, and the streams in them as links.
import type { LogEvent } from '../api'
import { clock, visible } from '../format'
import { me } from '../api'
import { workers } from '../store'
import { texts } from '../texts'

/** actor names who caused an event, if the name is known. */
export function actor(id: string | undefined): string {
  if (!id) return ''
  return visible(workers.value.value?.get(id)?.name ?? (id === me.value?.id ? me.value.name : id))
}

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
          {e.actor ? <span class="muted"> {actor(e.actor)}</span> : null}
        </li>
      ))}
    </ol>
  )
}
