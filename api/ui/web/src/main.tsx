// The dashboard: which page an address means, and what is around it.
import { render } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { me } from './api'
import { EventsPage } from './pages/events'
import { JobPage } from './pages/job'
import { JobsPage } from './pages/jobs'
import { OverviewPage } from './pages/overview'
import { QueuePage } from './pages/queue'
import { SignInPage } from './pages/signin'
import { WorkerPage, WorkersPage } from './pages/workers'
import { Help } from './parts/keys'
import { Loading, Page } from './parts/panel'
import { Band, TopBar } from './parts/shell'
import { path } from './router'
import { enter, stale, unreachable } from './store'
import { texts } from './texts'

function Routed() {
  const p = path.value
  const [, kind, id] = /^\/(jobs|workers)\/([^/]+)$/.exec(p) ?? []
  if (kind && id) {
    const name = decoded(id)
    return kind === 'jobs' ? <JobPage key={name} id={name} /> : <WorkerPage key={name} id={name} />
  }
  switch (p) {
    case '/':
      return <OverviewPage />
    case '/jobs':
      return <JobsPage />
    case '/queue':
      return <QueuePage />
    case '/workers':
      return <WorkersPage />
    case '/events':
      return <EventsPage />
  }
  return (
    <Page title={texts.notFound.title} name={texts.notFound.title}>
      <div class="empty">
        <p>{texts.notFound.text(p)}</p>
        <a href="/">{texts.notFound.back}</a>
      </div>
    </Page>
  )
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function App() {
  const who = me.value
  const main = useRef<HTMLElement>(null)
  const first = useRef(true)
  // Another page begins at its heading, for those who do not see it.
  useEffect(() => {
    if (first.current) return void (first.current = false)
    main.current?.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true })
  }, [path.value])
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), main.current?.focus())}>
        {texts.skip}
      </a>
      {who ? <TopBar /> : null}
      <Band />
      <main ref={main} id="main" tabIndex={-1} class={stale.value ? 'stale' : ''}>
        {who ? (
          <Routed />
        ) : who === null ? (
          <SignInPage />
        ) : unreachable.value ? (
          <Page title={texts.brand} name={texts.brand}>
            <div class="empty">{texts.connection.unreachable}</div>
          </Page>
        ) : (
          <Loading rows={6} />
        )}
      </main>
      <Help />
    </>
  )
}

render(<App />, document.getElementById('app')!)
void enter()
