package simulate

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// Each benchmark reports the disk's floor, measured in the same run: syncs of 512
// bytes a second.
func floor(b *testing.B) {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const syncs = 500
	block := make([]byte, 512)
	begun := time.Now()
	for range syncs {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(syncs/time.Since(begun).Seconds(), "floor_fdatasync/s")
}

func report(b *testing.B, what string, r Rate) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(r.PerSecond(), what+"/s")
	if len(r.Latency) > 0 {
		b.ReportMetric(float64(r.Latency.At(50).Microseconds()), "p50_µs")
		b.ReportMetric(float64(r.Latency.At(99).Microseconds()), "p99_µs")
	}
}

func BenchmarkSubmit(b *testing.B) {
	for _, bench := range []struct{ callers, count int }{{1, 5_000}, {64, 100_000}} {
		b.Run(fmt.Sprintf("callers=%d", bench.callers), func(b *testing.B) {
			s := newServer(b)
			for b.Loop() {
				r, err := Submit(b.Context(), s.commands, trivial, bench.callers, bench.count)
				if err != nil {
					b.Fatal(err)
				}
				report(b, "submits", r)
			}
			floor(b)
		})
	}
}

// Starts is from the submission to the durable permission to start, on an idle
// cluster.
func BenchmarkStarts(b *testing.B) {
	s := newServer(b)
	s.begin(b, s.tell)
	for b.Loop() {
		r, err := Starts(b.Context(), s.commands, trivial, s.started, 2_000)
		if err != nil {
			b.Fatal(err)
		}
		report(b, "starts", r)
	}
	floor(b)
}

func BenchmarkLives(b *testing.B) {
	for _, bench := range []struct{ pending, classes int }{{0, 1}, {100_000, 1}, {1_000_000, 100}, {1_000_000, 10_000}} {
		if bench.pending > 100_000 && os.Getenv("HODEI_LONG") == "" {
			continue
		}
		b.Run(fmt.Sprintf("pending=%d/classes=%d", bench.pending, bench.classes), func(b *testing.B) {
			s := newServer(b)
			if _, err := Fill(b.Context(), s.commands, classes(bench.classes), bench.pending); err != nil {
				b.Fatal(err)
			}
			s.begin(b, nil)
			for b.Loop() {
				r, err := Whole(b.Context(), s.commands, s.runner, trivial, 64, 100_000)
				if err != nil {
					b.Fatal(err)
				}
				report(b, "lives", r)
			}
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapAlloc>>20), "heap_MB")
			floor(b)
		})
	}
}

// classes are trivial jobs that differ in what they ask for, so that each makes a
// class of its own.
func classes(n int) []spec.Spec {
	all := slices.Repeat([]spec.Spec{trivial}, n)
	for i := range all {
		all[i].Resources.Memory = resource.Bytes(i)
	}
	return all
}
