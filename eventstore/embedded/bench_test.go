package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore"
)

const benchData = 100 // bytes of data of an event

// floor is what the disk gives: a write of 512 bytes and its sync.
type floor struct {
	file  *os.File
	block [512]byte
}

func newFloor(b *testing.B) *floor {
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return &floor{file: f}
}

func (f *floor) sync(b *testing.B) time.Duration {
	began := time.Now()
	if _, err := f.file.Write(f.block[:]); err != nil {
		b.Fatal(err)
	}
	if err := unix.Fdatasync(int(f.file.Fd())); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// BenchmarkFloorAndAppend does one and the other in turn, so that both see the
// same neighbours, and compares them.
func BenchmarkFloorAndAppend(b *testing.B) {
	f := newFloor(b)
	s, _ := openStore(b, config(newDir(b)))
	data := make([]byte, benchData)
	floors, appends := make([]time.Duration, b.N), make([]time.Duration, b.N)
	b.ResetTimer()
	for i := range b.N {
		floors[i] = f.sync(b)
		began := time.Now()
		_, err := s.Append(b.Context(), eventstore.Batch{
			Stream: eventstore.StreamID(fmt.Sprintf("job-%08d", i/4)), Expect: eventstore.Exactly(eventstore.Revision(i % 4)),
			Events: []eventstore.Event{{ID: eventstore.NewEventID(), Type: "JobStarted", Data: data}},
		})
		if err != nil {
			b.Fatal(err)
		}
		appends[i] = time.Since(began)
	}
	b.StopTimer()
	slices.Sort(floors)
	slices.Sort(appends)
	b.ReportMetric(float64(floors[b.N/2].Microseconds()), "floor-p50-µs")
	b.ReportMetric(float64(appends[b.N/2].Microseconds()), "append-p50-µs")
	b.ReportMetric(100*float64(floors[b.N/2])/float64(appends[b.N/2]), "%-of-floor")
}

// BenchmarkAppend appends single events; each stream gets four.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { benchAppend(b, writers) })
	}
}

func benchAppend(b *testing.B, writers int) {
	s, _ := openStore(b, config(newDir(b)))
	data := make([]byte, benchData)
	var turn atomic.Int64
	took := make([][]time.Duration, writers)
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; turn.Add(1) <= int64(b.N); i++ {
				stream := eventstore.StreamID(fmt.Sprintf("job-%08d", w*1_000_000+i/4))
				began := time.Now()
				_, err := s.Append(context.Background(), eventstore.Batch{
					Stream: stream, Expect: eventstore.Exactly(eventstore.Revision(i % 4)),
					Events: []eventstore.Event{{ID: eventstore.NewEventID(), Type: "JobStarted", Data: data}},
				})
				if err != nil {
					b.Error(err)
					return
				}
				took[w] = append(took[w], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	times := slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkReplay reads a log of finished lives, eight events each, from disk.
func BenchmarkReplay(b *testing.B) {
	const events, life = 1_000_000, 8
	cfg := config(newDir(b))
	s, _, err := Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	fillLives(b, s, events/life, life)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	s, report := openStore(b, cfg)
	b.Log("opened in", report.Took)
	var buf []*eventstore.Record
	b.ResetTimer()
	for range b.N {
		n := 0
		for from := eventstore.Position(1); from <= events; {
			if buf, from, err = s.ReadAll(b.Context(), buf[:0], from, 4096, eventstore.Filter{}); err != nil {
				b.Fatal(err)
			}
			n += len(buf)
		}
		if n != events {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
}

// fillLives writes lives of consecutive events, interleaved by 100.
func fillLives(b *testing.B, s *Store, lives, life int) {
	data := make([]byte, benchData)
	const together = 100
	for at := 0; at < lives; at += together {
		for r := range life {
			appends := make([]eventstore.Append, 0, together)
			for i := at; i < min(at+together, lives); i++ {
				appends = append(appends, eventstore.Append{Batches: []eventstore.Batch{{
					Stream: eventstore.StreamID(fmt.Sprintf("job-%08d", i)), Expect: eventstore.Exactly(eventstore.Revision(r)),
					Events: []eventstore.Event{{ID: eventstore.NewEventID(), Type: "JobStarted", Data: data}},
				}}})
			}
			mustAppend(b, s, appends...)
		}
	}
}
