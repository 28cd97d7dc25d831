// The address is the state: path and query hold page, filters, tab and selection.
import { batch, computed, signal } from '@preact/signals'

export const path = signal(location.pathname)
export const search = signal(location.search)
export const hash = signal(location.hash)
/** parameters are those of the query. */
export const parameters = computed(() => new URLSearchParams(search.value))

function read() {
  batch(() => {
    path.value = location.pathname
    search.value = location.search
    hash.value = location.hash
  })
}
addEventListener('popstate', read)
addEventListener('hashchange', read)

/** go leads to an address within the dashboard. */
export function go(address: string) {
  history.pushState(null, '', address)
  read()
}

/** put changes one parameter of the query without a new entry in the history. */
export function put(name: string, value: string) {
  const q = new URLSearchParams(location.search)
  if (value) q.set(name, value)
  else q.delete(name)
  const text = q.toString().replaceAll('%2C', ',')
  history.replaceState(null, '', location.pathname + (text ? `?${text}` : ''))
  read()
}

const outside = /^\/(v1|docs|openapi|metrics|livez|readyz|login|debug)\b/

// Links within the dashboard change the page without loading it anew.
document.addEventListener('click', (e) => {
  if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
  const link = (e.target as Element).closest?.('a')
  if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin || outside.test(link.pathname)) return
  if (link.pathname === location.pathname && link.hash) return
  e.preventDefault()
  go(link.pathname + link.search + link.hash)
})
