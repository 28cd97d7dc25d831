// Package term is what stands between foreign text and the user's terminal, and
// what decides how that terminal is spoken to: colours, glyphs, width.
package term

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// Filter passes a job's output on to a terminal. It lets text, tabs, line ends,
// carriage returns, backspaces, colours (SGR) and erase-line pass, and drops
// everything else a terminal would obey: titles and the clipboard (OSC), queries
// and replies, DCS and APC strings, cursor jumps, 8-bit controls, and bytes that
// are no UTF-8. The parser's states follow ECMA-48 and the state diagram of
// Paul Williams for DEC terminals. It keeps its state between writes, so a
// sequence may be cut anywhere. Not safe for concurrent use.
type Filter struct {
	w     io.Writer
	state state
	seq   []byte // a control sequence being read, from ESC on
	char  []byte // a character being read
	out   []byte
	dyed  bool // colours were changed and not put back
}

type state uint8

const (
	ground state = iota
	escape
	csi        // after ESC [
	csiTooLong // a control sequence longer than maxSequence: dropped to its end
	str        // in OSC, DCS, SOS, PM or APC: dropped to its end
	strEscape  // ESC in a string
	escapeMore // ESC with intermediate bytes, such as a character set
)

// maxSequence is the longest control sequence that is passed on, in bytes.
const maxSequence = 128

// NewFilter returns a filter that writes to w.
func NewFilter(w io.Writer) *Filter { return &Filter{w: w} }

// Write filters p. It reports all of p as written unless w failed.
func (f *Filter) Write(p []byte) (int, error) {
	f.out = f.out[:0]
	for _, b := range p {
		f.step(b)
	}
	if len(f.out) == 0 {
		return len(p), nil
	}
	if _, err := f.w.Write(f.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Reset ends a sequence that was left open, and brings the terminal's colours
// back to normal if they are not.
func (f *Filter) Reset() error {
	f.state, f.seq, f.char = ground, f.seq[:0], f.char[:0]
	if !f.dyed {
		return nil
	}
	f.dyed = false
	_, err := io.WriteString(f.w, Reset)
	return err
}

func (f *Filter) step(b byte) {
	switch b { // these end any sequence wherever they stand
	case 0x18, 0x1a:
		f.state, f.char = ground, f.char[:0]
		return
	case 0x1b:
		f.char = f.char[:0]
		if f.state == str {
			f.state = strEscape
			return
		}
		f.begin()
		return
	}
	switch f.state {
	case ground:
		f.ground(b)
	case escape:
		f.escape(b)
	case escapeMore:
		if b >= 0x30 && b <= 0x7e {
			f.state = ground
		}
	case csi:
		f.csi(b)
	case csiTooLong:
		if b >= 0x40 && b <= 0x7e {
			f.state = ground
		}
	case str:
		if b == 0x07 {
			f.state = ground
		}
	case strEscape:
		if b == '\\' {
			f.state = ground
			return
		}
		f.begin()
		f.escape(b)
	}
}

func (f *Filter) begin() {
	f.state = escape
	f.seq = append(f.seq[:0], 0x1b)
}

// ground handles a byte outside of any sequence.
func (f *Filter) ground(b byte) {
	if b < utf8.RuneSelf {
		f.char = f.char[:0] // what was begun before is no character
		switch {
		case b >= 0x20 && b != 0x7f, b == '\n', b == '\r', b == '\t', b == '\b':
			f.out = append(f.out, b)
		}
		return
	}
	if len(f.char) > 0 && utf8.RuneStart(b) {
		f.char = f.char[:0]
	}
	f.char = append(f.char, b)
	if !utf8.FullRune(f.char) {
		return
	}
	r, size := utf8.DecodeRune(f.char)
	// U+0080 to U+009F are the 8-bit controls.
	if (r != utf8.RuneError || size > 1) && (r < 0x80 || r > 0x9f) {
		f.out = append(f.out, f.char...)
	}
	f.char = f.char[:0]
}

func (f *Filter) escape(b byte) {
	switch {
	case b == '[':
		f.state, f.seq = csi, append(f.seq, b)
	case b == ']', b == 'P', b == 'X', b == '^', b == '_':
		f.state = str
	case b >= 0x20 && b <= 0x2f:
		f.state = escapeMore
	default: // one that is whole, such as ESC c, which would reset the terminal
		f.state = ground
	}
}

func (f *Filter) csi(b byte) {
	switch {
	case b >= 0x40 && b <= 0x7e:
		f.state = ground
		if f.harmless(b) {
			f.out = append(append(f.out, f.seq...), b)
			if b == 'm' {
				f.dyed = !resets(f.seq[2:])
			}
		}
	case b < 0x20: // a control inside a sequence is obeyed by terminals; we drop it
	case len(f.seq) >= maxSequence:
		f.state = csiTooLong
	default:
		f.seq = append(f.seq, b)
	}
}

// harmless says whether a control sequence that ends in final only colours text
// or erases in the line.
func (f *Filter) harmless(final byte) bool {
	if final != 'm' && final != 'K' {
		return false
	}
	for _, b := range f.seq[2:] {
		if (b < '0' || b > '9') && b != ';' && b != ':' {
			return false
		}
	}
	return true
}

// resets says whether the parameters of a colour sequence end with 0 or are none,
// which puts all back to normal.
func resets(parameters []byte) bool {
	at := bytes.LastIndexByte(parameters, ';')
	return len(bytes.Trim(parameters[at+1:], "0")) == 0
}
