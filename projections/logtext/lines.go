package logtext

import (
	"context"
	"io"
)

// Lines prints what a search tells of as grep does: the number of a match is
// followed by ':', that of a line around it by '-', and "--" stands where lines
// were left out between such groups. Lines are whole, whatever a search holds of
// them. It is not safe for concurrent use.
type Lines struct {
	text   *Text
	ctx    context.Context
	w      io.Writer
	style  Style
	groups bool
	last   uint64
	buf    []byte
}

// NewLines prints lines of a text to w. groups says whether a search tells of
// lines around matches. It reads until ctx ends.
func (t *Text) NewLines(ctx context.Context, w io.Writer, s Style, groups bool) *Lines {
	return &Lines{text: t, ctx: ctx, w: w, style: s, groups: groups}
}

// Print writes a line. Its errors are the writer's, or those of a Text.
func (l *Lines) Print(line *Line) error {
	l.buf = l.buf[:0]
	if l.groups && l.last > 0 && line.Number > l.last+1 {
		l.buf = append(l.buf, "--\n"...)
	}
	l.last = line.Number
	after := byte('-')
	if line.Match {
		after = ':'
	}
	l.buf = l.style.prefix(l.buf, line.Number, line.Time, after)
	if !line.Cut {
		l.buf = append(append(l.buf, line.Text...), '\n')
		_, err := l.w.Write(l.buf)
		return err
	}
	if _, err := l.w.Write(l.buf); err != nil {
		return err
	}
	return l.text.Copy(l.ctx, NewPrinter(l.w, Style{Strip: l.style.Strip}, 0), line.Offset, line.End)
}
