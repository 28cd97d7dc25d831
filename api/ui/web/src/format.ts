// Numbers, times and foreign text as people read them.

const unit = { s: 1, m: 60, h: 3600, d: 86400 }

/** seconds writes how long something took: 0.42s, 48.1s, 2m48s, 1h41m, 3d4h. */
export function seconds(s: number): string {
  if (!Number.isFinite(s) || s < 0) s = 0
  if (s < 1) return `${s.toFixed(2)}s`
  if (s < 60) return `${s.toFixed(1)}s`
  return whole(s)
}

/** age writes how long ago something was: 12s, 2m48s, 1h41m, 3d4h. */
export function age(s: number): string {
  return s < 60 ? `${Math.max(0, Math.floor(s))}s` : whole(s)
}

function whole(s: number): string {
  s = Math.floor(s)
  const two = (n: number) => String(n).padStart(2, '0')
  if (s < unit.h) return `${Math.floor(s / unit.m)}m${two(s % unit.m)}s`
  if (s < unit.d) return `${Math.floor(s / unit.h)}h${two(Math.floor((s % unit.h) / unit.m))}m`
  return `${Math.floor(s / unit.d)}d${Math.floor((s % unit.d) / unit.h)}h`
}

const sizes = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** bytes writes a size: 512 B, 1.5 GiB, 64 GiB. */
export function bytes(n: number): string {
  let i = 0
  while (n >= 1024 && i < sizes.length - 1) {
    n /= 1024
    i++
  }
  const text = i === 0 || n >= 100 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(1).replace(/\.0$/, '')
  return `${text} ${sizes[i]}`
}

/** amountBytes reads a size as specs have them: 512Mi, 2Gi, 1000. */
export function amountBytes(text: string | undefined): number {
  const m = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?$/.exec(text ?? '')
  if (!m) return 0
  const factor: Record<string, number> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, k: 1e3, M: 1e6, G: 1e9, T: 1e12 }
  return Number(m[1]) * (m[2] ? (factor[m[2]] ?? 1) : 1)
}

/** size writes 8Gi as 8 GiB. */
export function size(text: string): string {
  const n = amountBytes(text)
  return n > 0 ? bytes(n) : visible(text)
}

/** cpu writes CPUs in use: 0.42, 3.6, 14. */
export function cpu(n: number): string {
  if (n >= 10) return String(Math.round(n * 10) / 10)
  return String(Math.round(n * 100) / 100)
}

export const count = (n: number) => n.toLocaleString('en-US')

const pad = (n: number, digits = 2) => String(n).padStart(digits, '0')

/** clock writes a time of this day, and the day if it is another. */
export function clock(at: string | number | undefined, millis = false): string {
  if (at === undefined) return '–'
  const d = new Date(at)
  const time = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}${millis ? `.${pad(d.getMilliseconds(), 3)}` : ''}`
  if (d.toDateString() === new Date().toDateString()) return time
  return `${d.getDate()} ${months[d.getMonth()]} ${time}`
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

// Control characters and marks that turn the direction of text, or are not seen.
const hidden = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/** visible writes what comes from jobs and agents so that nothing in it is hidden. */
export function visible(text: string | undefined): string {
  return (text ?? '').replace(hidden, (c) => {
    const n = c.charCodeAt(0)
    return n < 256 ? `\\x${n.toString(16).padStart(2, '0')}` : `\\u${n.toString(16).padStart(4, '0')}`
  })
}

/** secondsBetween is the time from one moment to another, or until now. */
export function secondsBetween(from: string | undefined, to: string | undefined, now: number): number | undefined {
  if (!from) return undefined
  return Math.max(0, (to ? Date.parse(to) : now) - Date.parse(from)) / 1000
}
