package logtext

import (
	"bytes"
	"context"
	"regexp"
	"testing"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// repeated is a log of the same chunk, over and over.
type repeated struct{ chunk []byte }

func (r repeated) Read(_ context.Context, _ joblog.Key, from uint64, limit int) ([]joblog.Piece, uint64, error) {
	data := r.chunk[from%uint64(len(r.chunk)):]
	data = data[:min(len(data), limit)]
	return []joblog.Piece{{Offset: from, Data: data}}, from + uint64(len(data)), nil
}

func BenchmarkSearch(b *testing.B) {
	const size = 64 << 20
	lines := bytes.Repeat([]byte("2026-03-09T10:42:07Z INFO request served path=/v1/jobs took=12ms ok\n"), 900)
	for name, row := range map[string]struct {
		chunk   []byte
		pattern string
	}{
		"literal": {lines, "connection refused"}, "prefix": {lines, `panic: .*nil`}, "pattern": {lines, `(?i)error|fail`},
		"all match": {lines, "took"}, "one line": {bytes.Repeat([]byte("x"), 64<<10), `y+z`},
	} {
		b.Run(name, func(b *testing.B) {
			text := &Text{Source: repeated{row.chunk}, End: size}
			b.SetBytes(size)
			for b.Loop() {
				if _, _, err := text.Search(b.Context(), Search{Pattern: regexp.MustCompile(row.pattern), Strip: true}, Mark{0, 1}, size, func(*Line) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
