// What is around every page: the pages, the connection, who is signed in.
import { useEffect, useState } from 'preact/hooks'
import { me, type Job } from '../api'
import { clock } from '../format'
import * as changes from '../live/changes'
import { path } from '../router'
import { signOut, singleKeys, stale, theme, type Theme } from '../store'
import { texts } from '../texts'
import { helpShown } from './keys'

const pages: [string, string][] = [
  ['/', texts.pages.overview],
  ['/jobs', texts.pages.jobs],
  ['/queue', texts.pages.queue],
  ['/workers', texts.pages.workers],
  ['/events', texts.pages.events],
]

export function TopBar() {
  const here = path.value
  return (
    <header class="topbar">
      <a class="brand" href="/">
        <svg viewBox="0 0 16 16" width="18" height="18" aria-hidden="true" focusable="false">
          <rect width="16" height="16" rx="3" class="brandback" />
          <path d="M4 3h2v4h4V3h2v10h-2V9H6v4H4z" class="brandletter" />
        </svg>
        <span>{texts.brand}</span>
      </a>
      <nav aria-label={texts.nav}>
        {pages.map(([to, name]) => (
          <a key={to} href={to} aria-current={here === to ? 'page' : to !== '/' && here.startsWith(to + '/') ? 'true' : undefined}>
            {name}
          </a>
        ))}
      </nav>
      <Connection />
      <User />
    </header>
  )
}

function Connection() {
  const open = changes.open.value
  const word = open ? texts.connection.live : open === undefined ? texts.connection.connecting : texts.connection.lost
  return (
    <span class={`connection ${open ? 'live' : open === undefined ? 'unsure' : 'lost'}`} data-position={changes.position.value}>
      <span aria-hidden="true">{open ? '●' : '○'}</span> {word}
    </span>
  )
}

function User() {
  const who = me.value
  if (!who) return null
  return (
    <details class="user">
      <summary>
        <span class="unseen">{texts.user.menu}: </span>
        {who.name || who.id}
      </summary>
      <div class="menu">
        <p class="muted">{texts.user.role(who.role, who.namespace)}</p>
        <label>
          {texts.user.theme}{' '}
          <select value={theme.value} onChange={(e) => (theme.value = e.currentTarget.value as Theme)}>
            {(Object.keys(texts.user.themes) as Theme[]).map((t) => (
              <option key={t} value={t}>
                {texts.user.themes[t]}
              </option>
            ))}
          </select>
        </label>
        <label class="check">
          <input type="checkbox" checked={singleKeys.value} onChange={(e) => (singleKeys.value = e.currentTarget.checked)} /> {texts.user.keys}
        </label>
        <button type="button" onClick={() => (helpShown.value = true)}>
          {texts.keys.open}
        </button>
        <a href="/docs">{texts.user.docs}</a>
        <button type="button" onClick={() => void signOut()}>
          {texts.user.signOut}
        </button>
        <p class="muted mono">{texts.user.version(who.version)}</p>
      </div>
    </details>
  )
}

/** Band says that the connection is lost, or that all was caught up. */
export function Band() {
  const [, tick] = useState(0)
  const lost = stale.value
  useEffect(() => {
    if (!lost) return
    const timer = setInterval(() => tick((n) => n + 1), 500)
    return () => clearInterval(timer)
  }, [lost])
  const left = Math.max(0, Math.ceil((changes.retryAt.value - Date.now()) / 1000))
  return (
    <div class="bands" role="status">
      {lost ? (
        <div class="band">
          <span>{texts.connection.since(clock(changes.since.value), changes.position.value)}</span> <span aria-hidden="true">{texts.connection.retry(left)}</span>{' '}
          <button type="button" onClick={changes.tryNow}>
            {texts.connection.now}
          </button>
        </div>
      ) : changes.caughtUp.value > 0 ? (
        <div class="band good">{texts.connection.caught(changes.caughtUp.value)}</div>
      ) : null}
    </div>
  )
}

/** why is what the list says of how a job waits or ended. */
export const why = (j: Job) => j.summary ?? j.reason ?? ''
