package logtext

import (
	"bytes"
	"context"
	"errors"
	"os"
	"regexp"
	"runtime"
	"testing"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// endless is a log of one line, with something at its end.
type endless struct {
	end   uint64
	chunk []byte
	last  string
}

func (e endless) Read(_ context.Context, _ joblog.Key, from uint64, limit int) ([]joblog.Piece, uint64, error) {
	body := e.end - uint64(len(e.last))
	if from >= body {
		data := []byte(e.last)[from-body:]
		return []joblog.Piece{{Offset: from, Data: data[:min(limit, len(data))]}}, from + uint64(min(limit, len(data))), nil
	}
	n := min(uint64(len(e.chunk)), body-from, uint64(limit))
	return []joblog.Piece{{Offset: from, Data: e.chunk[:n]}}, from + n, nil
}

// A line that is longer than any memory should be is matched and printed whole, and
// never held.
func TestAnEndlessLine(t *testing.T) {
	size := uint64(100 << 20)
	switch {
	case os.Getenv("HODEI_LONG") != "":
		size = 1 << 30
	case testing.Short():
		size = 4 << 20
	}
	source := endless{size, bytes.Repeat([]byte("x"), joblog.MaxPiece), "\x1b[31mneed\x1b[0mle\nnext\n"}
	text := &Text{Source: source, End: size}
	for _, s := range []Search{{Pattern: regexp.MustCompile("needle$"), Strip: true}, {Pattern: regexp.MustCompile("need.*le"), Context: 1}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var found, printed []Line
		var count counter
		out := text.NewLines(t.Context(), &count, Style{Strip: true}, false)
		_, next, err := text.Search(t.Context(), s, Mark{0, 1}, size, func(l *Line) error {
			found = append(found, *l)
			printed = found[:1]
			if l.Match {
				return out.Print(l)
			}
			return nil
		})
		runtime.ReadMemStats(&after)
		if err != nil || len(printed) != 1 || !found[0].Cut || found[0].End != size-5 || next != (Mark{size, 3}) || len(found[0].Text) > maxLine {
			t.Fatalf("%s: %d lines, next %v, %v", s.Pattern, len(found), next, err)
		}
		if want := size - 5 - 9; uint64(count) != want {
			t.Errorf("%d bytes were printed of %d", count, want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
			t.Errorf("%s: it took %d bytes of memory", s.Pattern, used)
		}
	}
	if at, err := text.Tail(t.Context(), 0, 2); at != 0 || err != nil {
		t.Errorf("the last two lines begin at %d, %v", at, err)
	}
}

type counter uint64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// What was cancelled ends soon, with the context's error.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	source := endless{1 << 40, bytes.Repeat([]byte("x"), joblog.MaxPiece), ""}
	text := &Text{Source: source, End: source.end}
	cancel()
	_, _, err := text.Search(ctx, Search{Pattern: regexp.MustCompile("y")}, Mark{0, 1}, text.End, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a search: %v", err)
	}
	if _, err := text.Line(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("a line: %v", err)
	}
}
