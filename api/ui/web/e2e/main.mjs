// The dashboard in a real browser, against a real server with a worker.
import assert from 'node:assert/strict'
import { api, browser, check, ended, login, shots, submit, test, until, url, visit } from './harness.mjs'
import { more } from './more.mjs'

let signedIn // cookies of a session
const open = async (path, options) => {
  const page = await visit(options, signedIn)
  await page.goto(url + path)
  return page
}
const row = (page, id) => page.locator(`.row[data-id="${id}"]`)

await test('signs in by a link or a token, and out', async () => {
  const page = await visit()
  await page.goto(url + '/jobs')
  await check(page, 'sign-in')
  await page.fill('#token', 'hodei_wrong')
  await page.click('button[type=submit]')
  await page.locator('.bad', { hasText: 'does not accept this token' }).waitFor()
  await page.fill('#token', process.env.HODEI_TOKEN)
  await page.click('button[type=submit]')
  await page.locator('nav a[aria-current=page]', { hasText: 'Jobs' }).waitFor()
  await page.locator('.user summary').click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.locator('#token').waitFor()

  await page.goto(login)
  await page.locator('h1', { hasText: 'Overview' }).waitFor()
  signedIn = await page.context().storageState()
  assert.ok(signedIn.cookies.every((c) => c.httpOnly && c.sameSite === 'Strict'))
  assert.equal(await page.evaluate(() => document.cookie), '')
  await page.context().close()
  const other = await visit()
  await other.goto(login) // it has been used
  await other.locator('#token').waitFor()
  await other.context().close()
})

await test('says what to do where nothing is', async () => {
  const page = await open('/')
  await page.locator('.empty code', { hasText: 'hodei run -- echo hello' }).waitFor()
  await page.goto(url + '/jobs')
  await page.locator('.empty', { hasText: 'No job has run yet' }).waitFor()
  await page.goto(url + '/jobs/zzzzzzzz')
  await page.locator('.empty', { hasText: 'no job zzzzzzzz' }).waitFor()
  await page.goto(url + '/jobs/a/b')
  await page.locator('.empty', { hasText: 'no page /jobs/a/b' }).waitFor()
  await page.context().close()
})

// A small cluster to look at.
const stepped = await submit({
  name: 'test-e2e',
  steps: [
    { name: 'install', run: 'for i in 10 55 100; do printf "\\rfetching %3d%%" $i; done; printf "\\r\\033[Kfetched 412 packages\\n"' },
    { name: 'browser tests', run: 'for i in $(seq 1 30); do printf "\\033[32m✓\\033[0m checkout › pays with card %d \\033[2m(%d ms)\\033[0m\\n" $i $((i*37)); done; printf "\\033[31;1m✗\\033[0m pays with voucher: \\033[38;5;208mexpected\\033[0m 3, \\033[38;2;255;0;200mgot\\033[0m 4\\n"; exit 3' },
    { name: 'report', run: 'true' },
  ],
})
const eater = await submit({
  name: 'bench',
  command: 'echo measuring; x=; for i in $(seq 1 40); do x=$x$(head -c 200000 /dev/zero | tr "\\0" x); sleep 0.2; done',
  resources: { cpu: '500m', memory: '256Mi' },
})
for (const spec of [
  { name: 'lint', command: 'echo "main.go:12: unused variable"; exit 1' },
  { name: 'lint', command: 'echo "main.go:12: unused variable"; exit 1' },
  { name: 'build-web', command: 'echo built' },
  { name: 'etl-night', timeout: '1s', command: 'echo loading; sleep 30' },
  { name: 'train-resnet', command: 'true', requires: { gpu: 'a100' }, resources: { cpu: '1', memory: '8Gi' } },
  { name: 'deploy-arm', command: 'true', requires: { arch: 'arm64' } },
  { name: 'import-all', command: 'true', resources: { cpu: '64', memory: '512Gi' } },
])
  await submit(spec)
const talker = await submit({ name: 'fuzz', command: 'i=0; while :; do i=$((i+1)); echo "fuzz: elapsed ${i}s, new interesting: $((i % 7))"; sleep 1; done' })
await ended(stepped.id)
await ended(eater.id)

await test('shows every page, light and dark, without a fault of access', async () => {
  const worker = (await api('GET', '/v1/workers')).items[0]
  const waits = (await api('GET', '/v1/queue')).items[0]
  const pages = [
    ['overview', '/', '.lines a >> text=lint'],
    ['jobs', '/jobs', '.row >> text=train-resnet'],
    ['queue', `/queue?class=${waits.class}`, '.detail'],
    ['workers', '/workers', '.card'],
    ['worker', `/workers/${worker.id}`, '.eventlines li'],
    ['events', '/events', '.row >> text=submitted'],
    ['job', `/jobs/${stepped.id}`, '.logline >> text=pays with voucher'],
    ['job-usage', `/jobs/${eater.id}?tab=usage`, '.chart canvas'],
    ['job-events', `/jobs/${stepped.id}?tab=events`, '.eventlines li'],
    ['job-spec', `/jobs/${stepped.id}?tab=spec`, '.spec'],
    ['job-running', `/jobs/${talker.id}`, '.logline >> nth=2'],
  ]
  for (const colorScheme of ['light', 'dark']) {
    const page = await open('/', { colorScheme })
    for (const [name, path, ready] of pages) {
      await page.goto(url + path)
      await page.locator(ready).first().waitFor()
      await page.locator('.connection.live').waitFor()
      assert.equal(await page.locator('h1').count(), 1, name)
      await check(page, `${name}, ${colorScheme}`)
      if (shots) await page.screenshot({ path: `${shots}/${name}-${colorScheme}.png` })
    }
    await page.context().close()
  }
})

await test('is a page of one column on a phone', async () => {
  const page = await open('/jobs', { viewport: { width: 390, height: 800 } })
  for (const [name, path] of [['jobs', '/jobs'], ['job', `/jobs/${stepped.id}`], ['overview', '/'], ['workers', '/workers'], ['queue', '/queue'], ['events', '/events']]) {
    await page.goto(url + path)
    await page.locator('h1').waitFor()
    await page.locator('.connection.live').waitFor()
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, `${path} is wider than the screen`)
    if (shots && (name === 'jobs' || name === 'job')) await page.screenshot({ path: `${shots}/${name}-phone.png` })
  }
  await page.context().close()
})

await test('shows what changes without asking again', async () => {
  const page = await open('/jobs')
  await page.locator('.connection.live').waitFor()
  await row(page, stepped.id).waitFor()
  await page.waitForTimeout(300)
  const asked = []
  page.on('request', (r) => asked.push(r.url()))
  await page.evaluate(() => {
    window.seen = 0
    new MutationObserver(() => {
      if (!window.seen && document.querySelector('.jobs')?.textContent.includes('fresh-one')) window.seen = Date.now()
    }).observe(document.body, { childList: true, subtree: true, characterData: true })
  })
  const begun = Date.now()
  const job = await submit({ name: 'fresh-one', command: 'echo hello' })
  await row(page, job.id).locator('.state.s-succeeded').waitFor()
  const took = (await page.evaluate(() => window.seen)) - begun
  assert.deepEqual(asked, [])
  await page.context().close()
  return `a job was on the screen ${took} ms after it was sent`
})

await test('gathers new rows while one has scrolled', async () => {
  const page = await open('/jobs', { viewport: { width: 1280, height: 420 } })
  await row(page, (await api('GET', '/v1/jobs?limit=1')).items[0].id).waitFor()
  await page.locator('.virtual').evaluate((e) => (e.scrollTop = 64))
  await page.waitForTimeout(200)
  const job = await submit({ name: 'late', command: 'true' })
  await page.locator('.fresh', { hasText: '1 new' }).waitFor()
  assert.equal(await page.locator('.virtual').evaluate((e) => e.scrollTop), 64)
  assert.equal(await row(page, job.id).count(), 0)
  await page.locator('.fresh').click()
  await row(page, job.id).waitFor()
  await page.context().close()
})

await test('is led through a list by keys', async () => {
  const page = await open('/jobs')
  await page.locator('.row[data-id]').nth(3).waitFor()
  const ids = await page.locator('.row[data-id]').evaluateAll((rows) => rows.map((r) => r.dataset.id))
  for (const key of ['j', 'j', 'j', 'k']) await page.keyboard.press(key)
  await until('the second row has the focus', () => page.evaluate((id) => document.activeElement?.dataset.id === id, ids[1]))
  await page.keyboard.press('ArrowDown')
  await until('the third row has the focus', () => page.evaluate((id) => document.activeElement?.dataset.id === id, ids[2]))
  await page.keyboard.press('Enter')
  await page.waitForURL(`${url}/jobs/${ids[2]}`)
  await page.goBack()
  await page.locator(`.row.chosen[data-id="${ids[2]}"]`).waitFor()
  await page.keyboard.press('/')
  await page.keyboard.type('lint')
  await page.waitForURL(/q=lint/)
  await until('only lint is left', async () => (await page.locator('.row[data-id]').count()) === 2)
  await page.keyboard.press('Escape')
  await page.keyboard.press('?')
  await page.locator('dialog[open]').waitFor()
  await check(page, 'keys')
  await page.keyboard.press('Escape')
  await page.locator('dialog[open]').waitFor({ state: 'detached' })
  await Promise.all([page.keyboard.press('g'), page.keyboard.press('q')]) // at once, however slow the machine is
  await page.waitForURL(url + '/queue')
  // A dialog that was just closed has the focus until the next frame.
  await page.keyboard.press('?')
  await page.locator('dialog[open]').waitFor()
  await page.evaluate(() => {
    const box = document.querySelector('dialog input')
    box.focus()
    document.querySelector('dialog').close()
    for (const key of ['g', 'w']) box.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))
  })
  await page.waitForURL(url + '/workers')
  await until('the heading has the focus', () => page.evaluate(() => document.activeElement?.tagName === 'H1'))
  await page.context().close()
})

await test('follows a log until one scrolls, and searches it', async () => {
  const page = await open(`/jobs/${talker.id}`, { viewport: { width: 1280, height: 460 } })
  await until('the log is longer than the screen', () => page.locator('.loglines').evaluate((e) => e.scrollHeight > e.clientHeight + 40))
  await until('it shows the end', () => page.locator('.loglines').evaluate((e) => e.scrollTop + e.clientHeight >= e.scrollHeight - 20))
  await page.locator('.loglines').hover()
  await page.mouse.wheel(0, -2000)
  await page.locator('.fresh.bottom', { hasText: 'new line' }).waitFor()
  assert.equal(await page.locator('.loglines').evaluate((e) => e.scrollTop), 0)
  await page.keyboard.press('/')
  await page.keyboard.type('interesting: 3')
  await page.keyboard.press('Enter')
  await page.locator('.logline.chosen', { hasText: 'interesting: 3' }).waitFor()
  await page.locator('.result', { hasText: /^1 of \d+$/ }).waitFor()
  await page.locator('.fresh.bottom').click()
  await until('it follows again', () => page.locator('.loglines').evaluate((e) => e.scrollTop + e.clientHeight >= e.scrollHeight - 20))
  await page.context().close()
})

await more({ open, row, stepped })
await api('POST', `/v1/jobs/${talker.id}/cancel`, {})
await browser.close()
process.exit(0)
