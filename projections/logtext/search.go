package logtext

import (
	"bytes"
	"context"
	"regexp"
)

const (
	// MaxContext is how many lines around a match may be asked for, on each side.
	MaxContext = 50

	maxLine   = 64 << 10 // bytes of a line that is held; a longer one is matched as it is read
	maxBefore = 4 << 10  // bytes held of a line that may come before a match
)

// Search says what is looked for.
type Search struct {
	Pattern *regexp.Regexp // matched with each line, without its end
	Strip   bool           // match, and tell, what is left without escape sequences
	Context int            // lines around a match that are told too; at most MaxContext
}

// Line is a line that a search tells of.
type Line struct {
	Number      uint64
	Offset, End uint64 // of its bytes in the log, with its '\n' if it has one
	Time        int64  // of its first byte, ns since 1970
	Text        []byte // without its end; valid during the call
	Cut         bool   // Text is only its beginning
	Match       bool   // else it is told for the sake of another
}

// Search looks through the lines in [from, to), which must begin with one, and
// calls each with those that match and those around them, in order, once. It stops
// at the first error. next is the first line that was not looked at, also then, and
// matches counts those before it.
func (t *Text) Search(ctx context.Context, s Search, from Mark, to uint64, each func(*Line) error) (matches uint64, next Mark, err error) {
	f := &finder{text: t, ctx: ctx, search: s, to: to, each: each, next: from}
	if prefix, _ := s.Pattern.LiteralPrefix(); s.Context == 0 {
		f.literal = []byte(prefix)
	}
	for at := from.Offset; at < to && err == nil; {
		at, err = f.run(at)
	}
	if err == nil && f.open {
		err = f.judge(f.held)
	}
	return f.matches, f.next, err
}

// finder is a search under way.
type finder struct {
	text    *Text
	ctx     context.Context
	search  Search
	to      uint64
	each    func(*Line) error
	literal []byte // every match holds it; empty is unknown

	next    Mark
	matches uint64

	open    bool   // a line has begun and not ended
	line    Line   // that one
	held    []byte // its bytes so far
	visible []byte // those without escape sequences

	before []Line // lines that may come before a match, with texts of their own
	after  int    // lines still to be told after one
}

// run goes on from an offset where a line begins, or goes on, and returns where it
// has come to: to the end, or over a long line.
func (f *finder) run(at uint64) (uint64, error) {
	for p, err := range f.text.pieces(f.ctx, at, f.to) {
		if err != nil {
			return at, err
		}
		offset, data := p.Offset, f.pass(p.Offset, p.Data)
		for offset += uint64(len(p.Data) - len(data)); len(data) > 0; {
			part, end := data, bytes.IndexByte(data, '\n')
			if end >= 0 {
				part = data[:end]
			}
			f.begin(offset, p.Time)
			if len(f.held)+len(part) > maxLine {
				return f.long()
			}
			if end < 0 {
				f.held = append(f.held, part...)
				f.line.End = offset + uint64(len(part))
				break
			}
			text := part
			if len(f.held) > 0 {
				f.held = append(f.held, part...)
				text = f.held
			}
			data, offset = data[end+1:], offset+uint64(end)+1
			f.line.End = offset
			if err := f.judge(text); err != nil {
				return at, err
			}
		}
	}
	return f.to, nil
}

// pass counts the lines at the beginning of data that can't match, by a look at all
// of it, and returns what is left.
func (f *finder) pass(offset uint64, data []byte) []byte {
	last := bytes.LastIndexByte(data, '\n')
	if last < 0 || f.open || len(f.literal) == 0 || bytes.Contains(data, f.literal) || f.search.Strip && bytes.IndexByte(data, esc) >= 0 {
		return data
	}
	f.next = Mark{offset + uint64(last) + 1, f.next.Number + uint64(bytes.Count(data, newline))}
	return data[last+1:]
}

// begin notes where a line begins, unless one goes on.
func (f *finder) begin(offset uint64, at int64) {
	if !f.open {
		f.open, f.line = true, Line{Number: f.next.Number, Offset: offset, Time: at}
	}
}

// judge takes a line whose bytes and end are known.
func (f *finder) judge(text []byte) error {
	text = f.strip(text)
	f.line.Text, f.line.Match = text, f.search.Pattern.Match(text)
	return f.tell()
}

func (f *finder) strip(text []byte) []byte {
	if !f.search.Strip || bytes.IndexByte(text, esc) < 0 {
		return text
	}
	f.visible = new(Stripper).Strip(f.visible[:0], text)
	return f.visible
}

// long matches a line as it is read, and returns where it ends.
func (f *finder) long() (uint64, error) {
	r := newRunes(f.ctx, f.text, f.line.Offset, f.to, f.search.Strip)
	defer r.stop()
	f.line.Match = f.search.Pattern.MatchReader(r)
	end, err := r.end()
	if err != nil {
		return end, err
	}
	f.line.Text, f.line.Cut, f.line.End = f.strip(f.held), true, end
	return end, f.tell()
}

// tell ends the line, and tells of it if it is one to be told of.
func (f *finder) tell() (err error) {
	switch {
	case f.line.Match:
		for i := range f.before {
			if err == nil {
				err = f.each(&f.before[i])
			}
		}
		f.before, f.after = f.before[:0], f.search.Context
		if err == nil {
			err = f.each(&f.line)
		}
		if err == nil {
			f.matches++
		}
	case f.after > 0:
		f.after--
		err = f.each(&f.line)
	case f.search.Context > 0:
		f.keep()
	}
	if err == nil {
		f.next = Mark{f.line.End, f.line.Number + 1}
	}
	f.open, f.held = false, f.held[:0]
	return err
}

// keep remembers the line, for a match that may follow.
func (f *finder) keep() {
	kept, text := f.line, []byte(nil)
	if len(f.before) == f.search.Context {
		text = f.before[0].Text[:0]
		f.before = append(f.before[:0], f.before[1:]...)
	}
	kept.Cut = kept.Cut || len(kept.Text) > maxBefore
	kept.Text = append(text, kept.Text[:min(len(kept.Text), maxBefore)]...)
	f.before = append(f.before, kept)
}
