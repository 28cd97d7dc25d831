// The harder half: hostile output, ten thousand jobs, a server that dies.
import assert from 'node:assert/strict'
import { api, ended, please, quiet, shots, submit, test, until } from './harness.mjs'

export async function more({ open, row, stepped }) {
  await test('shows a log as a terminal would', async () => {
    const page = await open(`/jobs/${stepped.id}`)
    await page.locator('.logline', { hasText: 'fetched 412 packages' }).waitFor()
    const first = await page.locator('.logline .text').first().textContent()
    assert.equal(first, 'fetched 412 packages')
    const coloured = await page.locator('.logline .text span[style*="color"]').count()
    assert.ok(coloured > 10, `${coloured} coloured parts`)
    assert.equal(await page.locator('.logline >> text=got').first().evaluate((e) => getComputedStyle(e).color !== getComputedStyle(e.closest('.logline')).color), true)
    const number = page.locator('.number').nth(3)
    await number.click()
    await page.waitForURL(/#L\d+$/)
    await page.locator(`.logline.chosen${new URL(page.url()).hash}`).waitFor()
    const step = page.locator('.logstep button', { hasText: 'browser tests' })
    assert.equal(await step.getAttribute('aria-expanded'), 'true')
    const before = await page.locator('.logline').count()
    await step.click()
    await until('the step is folded', async () => (await step.getAttribute('aria-expanded')) === 'false' && (await page.locator('.logline').count()) < before)
    await page.context().close()
  })

  await test('is not harmed by what jobs say', async () => {
    const script = '<script>alert(1)</script><img src=x onerror=alert(2)>'
    const name = '<img src=x onerror=alert(3)>'
    const says = [
      script,
      '\\033]0;stolen title\\007after the title',
      '\\033]52;c;c3RvbGVu\\007after the clipboard',
      '\\033[2J\\033[10;10Hafter the jump',
      'turned \\342\\200\\256 round',
      '\\033]8;;javascript:alert(4)\\007click\\033]8;;\\007 me',
      'javascript:alert(5) http://example.com/"onmouseover="alert(6)',
      'bell \\007 and backspace ab\\bc',
    ]
    const job = await submit({ name, command: says.map((s) => `printf '%b\\n' '${s}'`).join('\n') })
    await ended(job.id)
    const page = await open(`/jobs/${job.id}`)
    await page.locator('.logline', { hasText: 'backspace' }).waitFor()
    const text = await page.locator('.loglines').innerText()
    for (const expected of [script, 'after the title', 'after the clipboard', 'after the jump', 'turned \\u202e round', 'click me', 'bell \\x07 and backspace ac'])
      assert.ok(text.includes(expected), `${JSON.stringify(expected)} is not in ${JSON.stringify(text)}`)
    assert.ok(!text.includes('stolen') && !text.includes('c3RvbGVu'), text)
    assert.equal(await page.title(), `✓ <img src=x onerror=alert(3)> · Hodei`)
    assert.equal(await page.locator('main img, main script, main iframe, main [onmouseover]').count(), 0)
    const links = await page.locator('.logline .text a').evaluateAll((all) => all.map((a) => [a.getAttribute('href'), a.textContent, a.rel]))
    for (const [href, shown, rel] of links) {
      assert.match(href, /^https?:\/\//)
      assert.equal(href, shown)
      assert.match(rel, /noopener/)
    }
    for (const path of ['/jobs', '/events', '/', `/jobs/${job.id}?tab=spec`, `/jobs/${job.id}?tab=events`]) {
      await page.goto(new URL(path, page.url()).href)
      await page.locator('main', { hasText: path === '/' ? 'What runs' : '<img src=x' }).waitFor()
      assert.equal(await page.locator('main img, main script').count(), 0, path)
    }
    await page.context().close()
  })

  await test('cuts a line of megabytes', async () => {
    const job = await submit({ name: 'long-line', command: 'head -c 3000000 /dev/zero | tr "\\0" x; echo; echo after it' })
    await ended(job.id)
    const page = await open(`/jobs/${job.id}`)
    await page.locator('.logline', { hasText: 'after it' }).waitFor()
    assert.ok((await page.locator('.logline .text').first().innerText()).length < 5000)
    await page.locator('.logline button').first().click()
    await page.locator('.logline', { hasText: /MiB not shown/ }).waitFor()
    await page.context().close()
  })

  await test('opens the end of a large log, and any part of it', async () => {
    const job = await submit({ name: 'large', command: 'seq 1 900000' })
    await ended(job.id)
    const page = await open(`/jobs/${job.id}`)
    await page.locator('#L900000', { hasText: '900000' }).waitFor({ state: 'attached' })
    const first = 900000 - 5000
    await page.getByRole('button', { name: '895,000 earlier lines' }).click()
    await page.getByRole('button', { name: '890,000 earlier lines' }).waitFor()
    await page.locator(`#L${first}`, { hasText: String(first) }).waitFor({ state: 'attached' })
    await page.keyboard.press('/')
    await page.keyboard.type('433333')
    await page.keyboard.press('Enter')
    await page.locator('#L433333.chosen', { hasText: '433333' }).waitFor()
    await page.locator('.result', { hasText: '1 of 1' }).waitFor()
    await page.goto(page.url() + '#L12')
    await page.reload()
    await page.locator('#L12.chosen', { hasText: /^12$/ }).waitFor()
    await page.getByRole('button', { name: 'Go to its end' }).click()
    await page.locator('#L900000', { hasText: '900000' }).waitFor()
    await page.context().close()
  })

  await test('shows each attempt of a job', async () => {
    const job = await submit({ name: 'again', command: 'echo "try $HODEI_ATTEMPT"; exit 1', retries: { max: 1, backoff: '1s' } })
    const page = await open(`/jobs/${job.id}`)
    await page.locator('.logline', { hasText: 'try 2' }).waitFor()
    await page.locator('h1 .s-failed').first().waitFor()
    assert.equal(await page.locator('.logline', { hasText: 'try 1' }).count(), 0)
    await page.getByRole('combobox', { name: 'Attempt' }).selectOption('1')
    await page.locator('.logline', { hasText: 'try 1' }).waitFor()
    await page.context().close()
  })

  await test('asks before it cancels', async () => {
    const job = await submit({ name: 'to-cancel', command: 'sleep 600' })
    const page = await open(`/jobs/${job.id}`)
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'No' }).click()
    assert.notEqual((await api('GET', `/v1/jobs/${job.id}`)).state, 'cancelled')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Yes, cancel' }).click()
    await page.locator('h1 .s-cancelled').first().waitFor()
    assert.equal((await ended(job.id)).state, 'cancelled')
    await page.context().close()
  })

  await test('shares one stream of changes between tabs', async () => {
    const page = await open('/jobs')
    await page.locator('.connection.live').waitFor()
    const streams = []
    const context = page.context()
    const tabs = []
    context.on('request', (r) => r.url().includes('/v1/changes') && streams.push(r.url()))
    for (let i = 0; i < 7; i++) {
      const tab = await context.newPage()
      await tab.goto(page.url())
      await tab.locator('.connection.live').waitFor()
      tabs.push(tab)
    }
    const job = await submit({ name: 'seen-by-all', command: 'true' })
    for (const tab of tabs) await row(tab, job.id).locator('.state.s-succeeded').waitFor()
    assert.deepEqual(streams, [])
    await page.close() // whoever holds the stream may go
    const next = await submit({ name: 'seen-later', command: 'true' })
    for (const tab of tabs) await row(tab, next.id).locator('.state.s-succeeded').waitFor()
    await context.close()
  })

  await test('catches up after the server was killed', async () => {
    const talk = await submit({ name: 'through-it', command: 'i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo "line $i"; sleep 0.1; done' })
    const list = await open('/jobs')
    await row(list, talk.id).locator('.state.s-running').waitFor()
    const log = await open(`/jobs/${talk.id}`)
    await log.locator('.logline', { hasText: /^line 5$/ }).waitFor()
    quiet.now = true
    await please('kill')
    await list.locator('.band', { hasText: 'Not connected since' }).waitFor()
    if (shots) await list.screenshot({ path: `${shots}/not-connected-light.png` })
    assert.ok((await list.locator('.row[data-id]').count()) > 5, 'what was shown is still shown')
    await log.locator('.band').waitFor()
    assert.equal(await log.getByRole('button', { name: 'Cancel' }).isDisabled(), true)
    await please('start')
    const missed = await submit({ name: 'missed', command: 'true' })
    await row(list, missed.id).locator('.state.s-succeeded').waitFor()
    await list.locator('.band', { hasText: 'Not connected' }).waitFor({ state: 'detached' })
    await ended(talk.id)
    quiet.now = false
    await row(list, talk.id).locator('.state.s-succeeded').waitFor()
    await log.locator('h1 .s-succeeded').first().waitFor()
    // Nothing is missing and nothing doubled: the last line has the last number.
    await log.locator('.logline', { hasText: /^line 100$/ }).waitFor()
    assert.equal(await log.locator('.logline', { hasText: /^line 100$/ }).getAttribute('id'), 'L100')
    await log.locator('.loglines').evaluate((e) => (e.scrollTop = e.scrollHeight / 2))
    await log.waitForTimeout(100)
    const between = await log.locator('.logline').evaluateAll((all) => all.map((l) => [l.id, l.querySelector('.text').textContent]))
    for (const [id, text] of between) assert.equal(text, `line ${id.slice(1)}`)
    await list.context().close()
    await log.context().close()
  })

  await test('lists ten thousand jobs with few rows', async () => {
    const jobs = Array.from({ length: 1000 }, (_, i) => ({ name: `many-${i}`, command: 'true', requires: { none: 'such' } }))
    for (let i = 0; i < 10; i++) await api('POST', '/v1/jobs:batch', { jobs })
    const page = await open('/jobs?state=pending')
    await page.locator('.row[data-id]').first().waitFor()
    let most = 0
    let at = -1
    await until('the end of the list', async () => {
      most = Math.max(most, await page.locator('[role=row]').count())
      const v = await page.locator('.virtual').evaluate((e) => ((e.scrollTop = e.scrollHeight), { rows: e.getAttribute('aria-rowcount'), height: e.scrollHeight }))
      at = Number(v.rows)
      return at > 10_000
    })
    await page.locator('.row', { hasText: 'train-resnet' }).waitFor()
    most = Math.max(most, await page.locator('[role=row]').count())
    assert.ok(most <= 200, `${most} rows are in the page`)
    await page.context().close()
    return `${most} rows in the page of ${at - 1}`
  })
}
