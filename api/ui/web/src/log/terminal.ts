// Output of a job as a terminal would show it, line by line: colours, \r, \b, tabs
// and erase-line count; titles, the clipboard, queries and jumps are dropped.
// Other control characters are shown, and so are marks that turn the direction of
// text. What comes out is text and numbers of styles, never markup.
import { visible } from '../format'
import { sgr, styleNumber, type Style } from './style'

export interface Run {
  text: string
  style: number
}

export interface Line {
  /** text of a plain line, or runs. */
  runs: string | Run[]
  /** offset of its first byte in the attempt's log. */
  offset: number
  /** at is when the worker read it, in ms since 1970; 0 is not known. */
  at: number
  /** more is how many characters are not kept. */
  more: number
}

const mostCells = 64 << 10 // characters kept of a line
const mostEscape = 4096 // characters of an escape sequence; longer ones end there

const special = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/

const ground = 0, escaped = 1, csi = 2, text = 3, textEscape = 4, skipOne = 5

export class Terminal {
  /** lines are those that have ended. */
  readonly lines: Line[] = []
  private decoder = new TextDecoder()
  private style: Style = {}
  private number = 0 // of style
  private runs: Run[] = []
  private length = 0 // characters of runs
  private cells: { c: string; s: number }[] | undefined // once something was written over
  private column = 0
  private more = 0
  private offset: number
  private at = 0
  private begun = false
  private mode = ground
  private sequence = ''

  constructor(offset = 0) {
    this.offset = offset
  }

  /** write takes bytes that begin at an offset of the log. */
  write(bytes: Uint8Array, offset: number, at = 0) {
    if (!this.begun) this.offset = offset
    for (let from = 0; from < bytes.length; ) {
      if (!this.begun) {
        this.begun = true
        this.at = at
      }
      let to = bytes.indexOf(10, from)
      const ended = to >= 0
      if (!ended) to = bytes.length
      const piece = bytes.subarray(from, to)
      this.feed(this.decoder.decode(piece, { stream: !ended }), ended)
      from = to + 1
      if (ended) this.newline(offset + from)
    }
  }

  /** current is the line that has not ended, if anything is in it. */
  current(): Line | undefined {
    return this.length > 0 || this.cells?.length ? this.line() : undefined
  }

  private feed(s: string, ended: boolean) {
    if (ended && s.endsWith('\r') && this.mode === ground) s = s.slice(0, -1)
    if (s === '') return
    if (this.mode === ground && !this.cells && !special.test(s)) return this.append(s)
    for (const c of s) this.char(c)
  }

  private append(s: string) {
    const room = mostCells - this.length
    if (s.length > room) {
      this.more += s.length - Math.max(0, room)
      s = s.slice(0, Math.max(0, room))
    }
    if (s === '') return
    const last = this.runs.at(-1)
    if (last && last.style === this.number) last.text += s
    else this.runs.push({ text: s, style: this.number })
    this.length += s.length
  }

  private char(c: string) {
    switch (this.mode) {
      case ground:
        return this.plain(c)
      case escaped:
        this.mode = c === '[' ? csi : 'P]X^_'.includes(c) ? text : '()*+-./#% '.includes(c) ? skipOne : ground
        this.sequence = ''
        return
      case skipOne:
        this.mode = ground
        return
      case csi:
        if (c >= '@' && c <= '~') {
          this.mode = ground
          return this.control(c)
        }
        if (c === '\x1b') this.mode = escaped
        else if (c < ' ' || this.sequence.length > mostEscape) this.mode = ground
        else this.sequence += c
        return
      case text:
        if (c === '\x07' || c === '\x9c' || c === '\x18' || c === '\x1a') this.mode = ground
        else if (c === '\x1b') this.mode = textEscape
        else if (this.sequence.length > mostEscape) this.mode = ground
        else this.sequence += c
        return
      case textEscape:
        this.mode = c === '\\' ? ground : text
    }
  }

  private plain(c: string) {
    switch (c) {
      case '\x1b':
        this.mode = escaped
        return
      case '\r':
        this.overwrite()
        this.column = 0
        return
      case '\b':
        this.overwrite()
        this.column = Math.max(0, this.column - 1)
        return
      case '\t': {
        const at = this.cells ? this.column : this.length
        return this.put(' '.repeat(8 - (at % 8)))
      }
      case '\0':
        return
    }
    this.put(special.test(c) ? visible(c) : c)
  }

  private put(s: string) {
    if (!this.cells) return this.append(s)
    for (const c of s) {
      if (this.column >= mostCells) {
        this.more++
        continue
      }
      while (this.cells.length < this.column) this.cells.push({ c: ' ', s: 0 })
      this.cells[this.column++] = { c, s: this.number }
    }
  }

  private control(final: string) {
    if (final === 'm' && /^[\d;:]*$/.test(this.sequence)) {
      this.style = sgr(this.style, this.sequence)
      this.number = styleNumber(this.style)
    } else if (final === 'K' && /^[012]?$/.test(this.sequence)) {
      this.overwrite()
      const cells = this.cells!
      if (this.sequence === '2') cells.length = 0
      else if (this.sequence === '1') for (let i = 0; i < Math.min(this.column + 1, cells.length); i++) cells[i] = { c: ' ', s: 0 }
      else cells.length = Math.min(cells.length, this.column)
    }
  }

  /** overwrite goes over to cells, which can be written anew. */
  private overwrite() {
    if (this.cells) return
    const cells = (this.cells = [] as { c: string; s: number }[])
    for (const r of this.runs) for (const c of r.text) cells.push({ c, s: r.style })
    this.column = cells.length
    this.runs = []
    this.length = 0
  }

  private line(): Line {
    return { runs: this.packed(), offset: this.offset, at: this.at, more: this.more }
  }

  private packed(): string | Run[] {
    let runs = this.runs
    if (this.cells) {
      runs = []
      for (const { c, s } of this.cells) {
        const last = runs.at(-1)
        if (last && last.style === s) last.text += c
        else runs.push({ text: c, style: s })
      }
    }
    if (runs.length === 0) return ''
    if (runs.length === 1 && runs[0]!.style === 0) return runs[0]!.text
    return runs.map((r) => ({ ...r }))
  }

  private newline(offset: number) {
    this.lines.push(this.line())
    this.runs = []
    this.cells = undefined
    this.length = this.column = this.more = 0
    this.offset = offset
    this.begun = false
  }
}

/** plainText is a line without its looks. */
export const plainText = (l: Line) => (typeof l.runs === 'string' ? l.runs : l.runs.map((r) => r.text).join(''))
