// Keys of the whole dashboard. Pages add theirs with useKeys.
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { go } from '../router'
import { singleKeys } from '../store'
import { texts } from '../texts'

type Handler = (e: KeyboardEvent) => void
const handlers: Map<string, Handler>[] = []

/** useKeys gives keys a meaning while a component is shown. */
export function useKeys(keys: Record<string, Handler>) {
  const map = useRef(new Map<string, Handler>())
  map.current = new Map(Object.entries(keys))
  useEffect(() => {
    const live = { get: (k: string) => map.current.get(k) } as Map<string, Handler>
    handlers.push(live)
    return () => void handlers.splice(handlers.indexOf(live), 1)
  }, [])
}

export const helpShown = signal(false)
const pages: Record<string, string> = { o: '/', j: '/jobs', q: '/queue', w: '/workers', e: '/events' }
const together = 2000 // ms between g and the letter of a page
let went = -together // when g was pressed, as events count time

/** typing says whether a key goes into a field. Those of a checkbox do not, nor of
 * one that is hidden: a dialog that was just closed may still have the focus. */
export function typing(e: Event): boolean {
  const t = e.target as HTMLElement
  if (t instanceof HTMLInputElement && t.type === 'checkbox') return false
  return t.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName)
}

document.addEventListener('keydown', (e) => {
  if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey) return
  if (e.key === 'Escape') {
    if (helpShown.value) helpShown.value = false
    else if (typing(e)) (e.target as HTMLElement).blur()
    return
  }
  if (typing(e) || !singleKeys.value || document.querySelector('dialog[open]')) return
  if (e.key === '?') return void (helpShown.value = true)
  if (e.timeStamp - went < together && pages[e.key]) {
    went = -together
    e.preventDefault()
    return go(pages[e.key]!)
  }
  if (e.key === 'g') return void (went = e.timeStamp)
  for (const map of [...handlers].reverse()) {
    const f = map.get(e.key)
    if (!f) continue
    e.preventDefault()
    return f(e)
  }
})

export function Help() {
  const ref = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    if (helpShown.value) ref.current?.showModal()
    else ref.current?.close()
  }, [helpShown.value])
  return (
    <dialog ref={ref} aria-labelledby="keys" onClose={() => (helpShown.value = false)}>
      <h2 id="keys">{texts.keys.title}</h2>
      <dl class="keys">
        {texts.keys.list.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label class="check">
        <input type="checkbox" checked={singleKeys.value} onChange={(e) => (singleKeys.value = e.currentTarget.checked)} /> {texts.user.keys}
      </label>
      <p>
        <button type="button" onClick={() => (helpShown.value = false)}>
          {texts.keys.close}
        </button>
      </p>
    </dialog>
  )
}
