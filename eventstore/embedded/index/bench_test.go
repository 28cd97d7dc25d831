package index

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
)

// streams makes runs of 8 events, each of a new stream.
func (m *model) streams(n int) []Run {
	runs := make([]Run, 0, n)
	for range n {
		runs = append(runs, m.add(eventstore.StreamID(fmt.Sprintf("job-%08d", m.head)), 8, true))
	}
	m.runs = nil // they are not asked for
	return runs
}

func BenchmarkWrite(b *testing.B) {
	ix, m := open(b, filepath.Join(b.TempDir(), "index.db")), newModel()
	for b.Loop() {
		if err := ix.Write(m.streams(4000), Checkpoint{Position: m.head}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*4000*8/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkScrub(b *testing.B) {
	ix, m := open(b, filepath.Join(b.TempDir(), "index.db")), newModel()
	const writes, streams = 25, 10_000
	for range writes {
		if err := ix.Write(m.streams(streams), Checkpoint{Position: m.head}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := ix.Scrub(context.Background(), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*writes*streams*3/b.Elapsed().Seconds(), "keys/s")
}
