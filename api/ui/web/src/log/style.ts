// How text of a log looks: attributes and colours as terminals have them.

/** A colour is one of the 16 of a palette, or an RGB value plus 256. */
export type Colour = number
export const rgb = (r: number, g: number, b: number): Colour => 256 + ((r << 16) | (g << 8) | b)

export interface Style {
  fg?: Colour
  bg?: Colour
  bold?: boolean
  faint?: boolean
  italic?: boolean
  underline?: boolean
  strike?: boolean
  inverse?: boolean
}

// Styles are few and used often: lines hold their numbers. 0 is plain.
const known: Style[] = [{}]
const numbers = new Map<string, number>([['{}', 0]])
const mostStyles = 10_000 // a log that makes more is plain from there on

export function styleNumber(s: Style): number {
  const key = JSON.stringify(s)
  let n = numbers.get(key)
  if (n === undefined) {
    if (known.length >= mostStyles) return 0
    n = known.push({ ...s }) - 1
    numbers.set(key, n)
  }
  return n
}

export const styleOf = (n: number): Style => known[n] ?? known[0]!

/** sgr changes a style by the parameters of one ESC [ … m. */
export function sgr(s: Style, text: string): Style {
  const p = text.split(/[;:]/).map((x) => (x === '' ? 0 : Number(x)))
  let out: Style = { ...s }
  for (let i = 0; i < p.length; i++) {
    const n = p[i]!
    if (n === 0) out = {}
    else if (n === 1) out.bold = true
    else if (n === 2) out.faint = true
    else if (n === 3) out.italic = true
    else if (n === 4) out.underline = true
    else if (n === 7) out.inverse = true
    else if (n === 9) out.strike = true
    else if (n === 22) (delete out.bold, delete out.faint)
    else if (n === 23) delete out.italic
    else if (n === 24) delete out.underline
    else if (n === 27) delete out.inverse
    else if (n === 29) delete out.strike
    else if (n >= 30 && n <= 37) out.fg = n - 30
    else if (n >= 90 && n <= 97) out.fg = n - 82
    else if (n === 39) delete out.fg
    else if (n >= 40 && n <= 47) out.bg = n - 40
    else if (n >= 100 && n <= 107) out.bg = n - 92
    else if (n === 49) delete out.bg
    else if (n === 38 || n === 48) {
      const [colour, used] = extended(p, i + 1)
      i += used
      if (colour !== undefined) out[n === 38 ? 'fg' : 'bg'] = colour
    }
  }
  return out
}

function extended(p: number[], at: number): [Colour | undefined, number] {
  const byte = (n: number | undefined) => n !== undefined && n >= 0 && n <= 255
  if (p[at] === 5) return [byte(p[at + 1]) ? of256(p[at + 1]!) : undefined, 2]
  if (p[at] === 2) {
    const [r, g, b] = [p[at + 1], p[at + 2], p[at + 3]]
    return [byte(r) && byte(g) && byte(b) ? rgb(r!, g!, b!) : undefined, 4]
  }
  return [undefined, 1]
}

function of256(n: number): Colour {
  if (n < 16) return n
  if (n >= 232) {
    const grey = 8 + (n - 232) * 10
    return rgb(grey, grey, grey)
  }
  const level = (x: number) => (x === 0 ? 0 : 55 + x * 40)
  return rgb(level(Math.floor((n - 16) / 36)), level(Math.floor(((n - 16) % 36) / 6)), level((n - 16) % 6))
}

// What terminals show the 16 colours as; readable ones are made of them below.
const palette = [0x000000, 0xcd3131, 0x0dbc79, 0xb58900, 0x2472c8, 0xbc3fbc, 0x11a8cd, 0xcccccc, 0x666666, 0xf14c4c, 0x23d18b, 0xf5f543, 0x3b8eea, 0xd670d6, 0x29b8db, 0xffffff]

export const light = { back: 0xf5f7fa, text: 0x1b1f26 }
export const dark = { back: 0x171c23, text: 0xe6eaf0 }

/** contrast is that of WCAG. */
export function contrast(a: number, b: number): number {
  const [x, y] = [luminance(a), luminance(b)]
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05)
}

function luminance(c: number): number {
  const part = (v: number) => {
    v /= 255
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
  }
  return 0.2126 * part((c >> 16) & 255) + 0.7152 * part((c >> 8) & 255) + 0.0722 * part(c & 255)
}

const least = 4.5

/** readable moves a colour towards black or white until it can be read. */
export function readable(colour: number, back: number): number {
  if (contrast(colour, back) >= least) return colour
  const to = luminance(back) > 0.18 ? 0 : 255
  for (let k = 1; k <= 20; k++) {
    const mix = (v: number) => Math.round(v + ((to - v) * k) / 20)
    const c = (mix((colour >> 16) & 255) << 16) | (mix((colour >> 8) & 255) << 8) | mix(colour & 255)
    if (contrast(c, back) >= least) return c
  }
  return to === 0 ? 0x000000 : 0xffffff
}

const hex = (c: number) => `#${c.toString(16).padStart(6, '0')}`
const shown = new Map<number, { color?: string; background?: string }>()

/** colours are those in which a style is shown, in the light or in the dark. */
export function colours(n: number, isDark: boolean): { color?: string; background?: string } {
  const key = n * 2 + (isDark ? 1 : 0)
  const cached = shown.get(key)
  if (cached) return cached
  const s = styleOf(n)
  const theme = isDark ? dark : light
  const value = (c: Colour | undefined) => (c === undefined ? undefined : c < 256 ? palette[c]! : c - 256)
  let fg = value(s.fg)
  let bg = value(s.bg)
  if (s.inverse) [fg, bg] = [bg ?? theme.back, fg ?? theme.text]
  const out: { color?: string; background?: string } = {}
  if (bg !== undefined) out.background = hex(bg)
  if (fg !== undefined || bg !== undefined) out.color = hex(readable(fg ?? theme.text, bg ?? theme.back))
  shown.set(key, out)
  return out
}
