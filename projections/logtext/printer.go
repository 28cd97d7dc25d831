package logtext

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// TimeLayout is how a line's time is written before it, in UTC.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Style says how a text is printed. The zero value leaves it as it is.
type Style struct {
	Strip   bool // leave escape sequences out
	Times   bool // write its time before each line
	Numbers bool // write its number before each line
}

// Plain says whether bytes are left as they are.
func (s Style) Plain() bool { return s == Style{} }

// Printer writes pieces of a text, which must follow each other. It is not safe
// for concurrent use.
type Printer struct {
	w      io.Writer
	style  Style
	number uint64 // of the line that is printed or comes next
	middle bool   // in a line
	strip  Stripper
	buf    []byte
}

// NewPrinter prints to w; the first line has this number.
func NewPrinter(w io.Writer, s Style, number uint64) *Printer {
	return &Printer{w: w, style: s, number: number}
}

// Print writes a piece. Its error is the writer's.
func (p *Printer) Print(piece *joblog.Piece) error {
	if p.style.Plain() {
		_, err := p.w.Write(piece.Data)
		return err
	}
	p.buf = p.buf[:0]
	if !p.style.Times && !p.style.Numbers {
		p.buf = p.strip.Strip(p.buf, piece.Data)
	}
	for data := piece.Data; len(data) > 0 && (p.style.Times || p.style.Numbers); {
		line, rest := data, []byte(nil)
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			line, rest = data[:i+1], data[i+1:]
		}
		p.line(line, piece.Time)
		data = rest
	}
	_, err := p.w.Write(p.buf)
	return err
}

// line adds a line, or a part of one that ends the piece.
func (p *Printer) line(text []byte, at int64) {
	if !p.middle {
		p.buf = p.style.prefix(p.buf, p.number, at, ':')
	}
	if p.style.Strip {
		p.buf = p.strip.Strip(p.buf, text)
	} else {
		p.buf = append(p.buf, text...)
	}
	if p.middle = text[len(text)-1] != '\n'; !p.middle {
		p.number++
	}
}

// prefix appends what stands before a line; after is the character that follows
// its number.
func (s Style) prefix(b []byte, number uint64, at int64, after byte) []byte {
	if s.Numbers {
		b = append(strconv.AppendUint(b, number, 10), after)
	}
	if s.Times {
		b = append(time.Unix(0, at).UTC().AppendFormat(b, TimeLayout), ' ')
	}
	return b
}
