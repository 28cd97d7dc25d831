// What the tests in a real browser share. They are started by a Go test, which has a
// server running: it is told by lines of JSON what became of each test, and asked to
// kill or to start the server.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const need = (name) => process.env[name] ?? assert.fail(`${name} is not set`)
export const url = need('HODEI_URL')
const token = need('HODEI_TOKEN')
export const login = need('HODEI_LOGIN')
export const shots = process.env.HODEI_SCREENSHOTS ?? ''
export const limit = 30_000 // ms that anything may take on a busy machine

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** api asks the server, past the browser. */
export async function api(method, path, body) {
  const answer = await fetch(url + path, { method, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, ...(body ? { body: JSON.stringify(body) } : {}) })
  const text = await answer.text()
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`)
  return text ? JSON.parse(text) : undefined
}

export const submit = (spec) => api('POST', '/v1/jobs', { resources: { cpu: '100m', memory: '64Mi' }, ...spec })

/** until asks again until f returns something true. */
export async function until(what, f) {
  const end = Date.now() + limit
  for (let last; ; ) {
    const found = await f().catch((e) => ((last = e), undefined))
    if (found) return found
    if (Date.now() > end) throw new Error(`${what}: not within ${limit} ms${last ? `: ${last.message}` : ''}`)
    await new Promise((done) => setTimeout(done, 50))
  }
}

const over = ['succeeded', 'failed', 'cancelled', 'timed_out', 'lost']
export const ended = (id) =>
  until(`job ${id} ends`, async () => {
    const j = await api('GET', `/v1/jobs/${id}`)
    return over.includes(j.state) && j
  })

// The Go test is asked by a line, and answers by one.
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
export async function please(what) {
  console.log(JSON.stringify({ please: what }))
  const { value } = await answers.next()
  assert.equal(value, 'done')
}

export const browser = await chromium.launch({ executablePath: need('HODEI_CHROMIUM'), args: flags })

/** faults are what no page may do: errors, dialogs, requests to others. */
export const faults = []
/** quiet says that requests may fail at present, because the server is away. */
export const quiet = { now: false }

/** visit opens a page of its own; with session its context is signed in. */
export async function visit(options = {}, state) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options, ...(state ? { storageState: state } : {}) })
  context.setDefaultTimeout(limit)
  const page = await context.newPage()
  watch(page)
  return page
}

export function watch(page) {
  page.on('pageerror', (e) => faults.push(`error: ${e.message}`))
  page.on('dialog', (d) => (faults.push(`dialog: ${d.message()}`), d.dismiss()))
  page.on('console', (m) => {
    // A status of 401 or 404 that a test asks for is logged by the browser itself.
    if (m.type() === 'error' && !quiet.now && !/status of (401|404)/.test(m.text())) faults.push(`console: ${m.text()}`)
  })
  page.on('request', (r) => {
    if (!r.url().startsWith(url + '/')) faults.push(`request: ${r.url()}`)
  })
}

/** check fails if axe finds a violation. */
export async function check(page, what) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  assert.deepEqual(
    violations.map((v) => `${what}: ${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`).join('; ')}`),
    [],
  )
}

// HODEI_ONLY is part of the names of the tests to run.
const only = process.env.HODEI_ONLY

/** test runs f and reports what became of it. */
export async function test(name, f) {
  if (only && !name.includes(only) && !name.startsWith('signs in')) return
  faults.length = 0
  const begun = Date.now()
  let error = ''
  let note = ''
  try {
    note = (await f()) ?? ''
    assert.deepEqual(faults, [])
  } catch (e) {
    error = e.stack ?? String(e)
    for (const context of browser.contexts()) {
      for (const page of context.pages()) error += `\n${page.url()}: ${await page.locator('body').innerText().catch(String)}`
      await context.close()
    }
  }
  console.log(JSON.stringify({ test: name, error, note, ms: Date.now() - begun }))
}
