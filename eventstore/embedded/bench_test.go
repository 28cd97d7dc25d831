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

// BenchmarkFloor is what the disk gives: a write of 512 bytes and its sync.
func BenchmarkFloor(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 512)
	b.ResetTimer()
	for range b.N {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
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
