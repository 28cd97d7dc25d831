// Panels, and how they look while there is nothing in them.
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Problem } from '../api'
import { visible } from '../format'
import { texts } from '../texts'

/** Page is the main part of a page: its one heading, and what is below. */
export function Page({ title, name, head, children }: { title: ComponentChildren; name: string; head?: ComponentChildren; children: ComponentChildren }) {
  useEffect(() => {
    document.title = texts.title(name)
  }, [name])
  return (
    <>
      <header class="pagehead">
        <h1 tabIndex={-1}>{title}</h1>
        {head}
      </header>
      {children}
    </>
  )
}

export function Panel({ title, more, wide, children }: { title: string; more?: ComponentChildren; wide?: boolean; children: ComponentChildren }) {
  return (
    <section class={wide ? 'panel wide' : 'panel'} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {more}
      </header>
      {children}
    </section>
  )
}

/** Failed says why something is not there, and how to ask again. */
export function Failed({ problem, again }: { problem: Problem; again?: () => void }) {
  return (
    <div class="failed" role="alert">
      <p>{problem.status === 0 ? texts.noAnswer : problem.status === 403 ? texts.noRight : visible(problem.message)}</p>
      {problem.help ? <p class="muted">{visible(problem.help)}</p> : null}
      <p class="muted">
        {again ? (
          <button type="button" onClick={again}>
            {texts.tryAgain}
          </button>
        ) : null}{' '}
        {problem.request ? <span class="mono">{texts.request(problem.request)}</span> : null}
      </p>
    </div>
  )
}

/** Empty says why there is nothing, and which command changes that. */
export function Empty({ text, command }: { text: string; command?: string }) {
  return (
    <div class="empty">
      <p>{text}</p>
      {command ? <code>{command}</code> : null}
    </div>
  )
}

/** Loading shows the final size in grey, but not to those who need not wait. */
export function Loading({ rows = 3 }: { rows?: number }) {
  const [shown, show] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => show(true), 200)
    return () => clearTimeout(timer)
  }, [])
  return (
    <div class="loading" role="status" aria-label={texts.loading}>
      {Array.from({ length: rows }, (_, i) => (
        <div key={i} class={shown ? 'bone' : 'bone unseen'} />
      ))}
    </div>
  )
}

/** Bar shows how much of a whole is reserved, and used within that. */
export function Bar({ label, used, reserved, of }: { label: string; used: number; reserved: number; of: number }) {
  const part = (x: number) => (of > 0 ? Math.min(100, (100 * x) / of) : 0)
  return (
    <svg class="bar" role="img" aria-label={label} viewBox="0 0 100 8" preserveAspectRatio="none">
      <rect class="all" width="100" height="8" />
      <rect class="reserved" width={part(reserved)} height="8" />
      <rect class="used" y="5" width={part(used)} height="3" />
    </svg>
  )
}
