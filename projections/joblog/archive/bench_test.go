package archive_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/eventstore/blob/s3/s3test"
)

// How many short logs of jobs that have ended go from a journal to a sealed
// object, told of, in a second.
func BenchmarkShortLogs(b *testing.B) {
	for name, store := range map[string]func() blob.Store{
		"disk": func() blob.Store { return diskStore(b) },
		"s3":   func() blob.Store { return s3test.Start(b).Store(b, "", time.Minute) },
	} {
		b.Run(name, func(b *testing.B) {
			const logs = 1000
			for b.Loop() {
				b.StopTimer()
				s, book := start(b, store()), book{}
				for n := range logs {
					s.write(book, key(n), bytes.Repeat([]byte("some output\n"), 20), 1, 1)
					s.finish(book, key(n))
				}
				b.StartTimer()
				s.run()
				s.archived()
				s.wait("all are sealed", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.sealed) == logs })
				b.StopTimer()
				s.close()
				b.StartTimer()
			}
			b.ReportMetric(float64(logs)*float64(b.N)/b.Elapsed().Seconds(), "logs/s")
		})
	}
}
