import { Fragment } from 'preact'
import { useSignal } from '@preact/signals'
import { ask, query, type Queue, type QueueClass } from '../api'
import { age, count, secondsBetween, size, visible } from '../format'
import { Failed, Loading, Page } from '../parts/panel'
import { parameters, put } from '../router'
import { asProblem, loadQueue, now, queue } from '../store'
import type { Problem } from '../api'
import { texts } from '../texts'

const t = texts.queue

export function QueuePage() {
  const { value: q, problem } = queue.value
  const open = parameters.value.get('class') ?? ''
  return (
    <Page title={t.title} name={t.title} head={q && q.waiting > 0 ? <span class="muted">{t.summary(q.waiting, q.backoff)}</span> : null}>
      {problem && !q ? <Failed problem={problem} again={() => void loadQueue()} /> : null}
      {!q ? (
        problem ? null : <Loading rows={6} />
      ) : q.items.length === 0 ? (
        <div class="empty">
          <p>{t.empty}</p>
        </div>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label={t.title}>
          <table class="classes">
            <thead>
              <tr>
                <th scope="col">{t.class}</th>
                <th scope="col" class="num">
                  {t.wait}
                </th>
                <th scope="col" class="num">
                  {t.oldest}
                </th>
                <th scope="col">{t.namespace}</th>
                <th scope="col">{t.needs}</th>
                <th scope="col">{t.why}</th>
              </tr>
            </thead>
            <tbody>
              {q.items.map((c) => (
                <Class key={c.class} of={c} open={c.class === open} />
              ))}
            </tbody>
          </table>
          {q.next ? <Older cursor={q.next} open={open} /> : null}
        </div>
      )}
    </Page>
  )
}

/** needs writes what a class asks for: 4 CPU, 8 GiB, arch=arm64. */
export function needs(c: QueueClass): string {
  const parts = []
  if (c.needs.cpu) parts.push(`${c.needs.cpu} CPU`)
  if (c.needs.memory) parts.push(size(c.needs.memory))
  if (c.needs.disk) parts.push(size(c.needs.disk))
  for (const [k, v] of Object.entries(c.needs.requires ?? {})) parts.push(visible(`${k}=${v}`))
  if (c.pool) parts.push(visible(`pool ${c.pool}`))
  return parts.join(', ')
}

function Class({ of: c, open }: { of: QueueClass; open: boolean }) {
  const oldest = secondsBetween(c.oldest_submitted_at, undefined, now.value)
  const reason = texts.reasons[c.reason ?? ''] ?? visible(c.reason)
  const summary = visible(c.summary)
  return (
    <Fragment>
      <tr class={open ? 'open' : ''}>
        <th scope="row">
          <button type="button" class="plainbutton mono" aria-expanded={open} title={t.open} onClick={() => put('class', open ? '' : c.class)}>
            <span aria-hidden="true">{open ? '▾' : '▸'}</span> {c.class}
          </button>
        </th>
        <td class="num">{count(c.waiting)}</td>
        <td class="num">{oldest === undefined ? texts.none : age(oldest)}</td>
        <td>{visible(c.namespace)}</td>
        <td>{needs(c)}</td>
        <td>
          <strong class="reason">{reason}</strong> <span class="muted">{summary.startsWith(reason) ? summary.slice(reason.length).replace(/^: /, '') : summary}</span>
        </td>
      </tr>
      {open ? (
        <tr class="detail">
          <td colSpan={6}>
            {c.explanation ? <p>{visible(c.explanation)}</p> : null}
            {c.help ? (
              <p>
                <span class="muted">{t.help}:</span> {visible(c.help)}
              </p>
            ) : null}
            <p>
              <span class="muted">{t.next}:</span>{' '}
              {(c.next ?? []).map((id) => (
                <a key={id} class="mono jobid" href={`/jobs/${id}`}>
                  {id}
                </a>
              ))}
              {c.waiting > (c.next?.length ?? 0) ? <span class="muted">{t.more(c.waiting - (c.next?.length ?? 0))}</span> : null}
            </p>
          </td>
        </tr>
      ) : null}
    </Fragment>
  )
}

/** Older are further classes, read when asked for: changes carry the first page. */
function Older({ cursor, open }: { cursor: string; open: string }) {
  const items = useSignal<QueueClass[]>([])
  const next = useSignal<string | undefined>(cursor)
  const problem = useSignal<Problem | undefined>(undefined)
  const read = async () => {
    try {
      const q = await ask<Queue>(query('/v1/queue', { cursor: next.value }))
      items.value = items.value.concat(q.items)
      next.value = q.next
      problem.value = undefined
    } catch (e) {
      problem.value = asProblem(e)
    }
  }
  return (
    <>
      {items.value.length > 0 ? (
        <table class="classes">
          <tbody>
            {items.value.map((c) => (
              <Class key={c.class} of={c} open={c.class === open} />
            ))}
          </tbody>
        </table>
      ) : null}
      {problem.value ? <Failed problem={problem.value} again={() => void read()} /> : null}
      {next.value ? (
        <button type="button" onClick={() => void read()}>
          {texts.more}
        </button>
      ) : null}
    </>
  )
}
