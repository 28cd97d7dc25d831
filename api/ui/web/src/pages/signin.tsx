import { useSignal } from '@preact/signals'
import { visible } from '../format'
import { Page } from '../parts/panel'
import { asProblem, signIn } from '../store'
import { texts } from '../texts'

const t = texts.signin

export function SignInPage() {
  const token = useSignal('')
  const busy = useSignal(false)
  const bad = useSignal('')
  return (
    <Page title={t.title} name={t.title}>
      <form
        class="signin"
        onSubmit={async (e) => {
          e.preventDefault()
          const text = token.value.trim()
          if (!text) return void (bad.value = t.empty)
          busy.value = true
          try {
            await signIn(text)
          } catch (thrown) {
            const p = asProblem(thrown)
            bad.value = p.status === 0 ? texts.noAnswer : visible(p.message)
          } finally {
            busy.value = false
          }
        }}
      >
        <p>{t.hint}</p>
        <label for="token">{t.token}</label>
        <input id="token" type="password" autocomplete="off" spellcheck={false} aria-invalid={bad.value !== ''} aria-describedby="why" value={token.value} onInput={(e) => (token.value = e.currentTarget.value)} />
        <button type="submit" class="primary" disabled={busy.value}>
          {busy.value ? t.busy : t.go}
        </button>
        <p id="why" class="bad" role="alert">
          {bad.value}
        </p>
        <p class="muted">{t.where}</p>
      </form>
    </Page>
  )
}
