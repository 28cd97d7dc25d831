package joblog_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

func BenchmarkFlood(b *testing.B) {
	for _, attempts := range []int{1, 50} {
		b.Run(fmt.Sprintf("%d attempts", attempts), func(b *testing.B) {
			log, err := joblog.Open(b.TempDir(), joblog.Options{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			data := bytes.Repeat([]byte("0123456789abcdef"), 2048)
			b.SetBytes(int64(len(data)))
			offsets := make([]uint64, attempts)
			for a := range attempts {
				if _, err := log.Take(b.Context(), numbered(a), 1, nil); err != nil {
					b.Fatal(err)
				}
			}
			for n := 0; b.Loop(); n++ {
				a := n % attempts
				for {
					err := log.Append(numbered(a), 1, joblog.Piece{Tag: 1, Offset: offsets[a], Data: data})
					if err == nil {
						break
					}
					if !errors.Is(err, joblog.ErrWindow) {
						b.Fatal(err)
					}
					if err := log.WaitDurable(b.Context(), numbered(a), offsets[a]-joblog.DefaultWindow/2); err != nil {
						b.Fatal(err)
					}
				}
				offsets[a] += uint64(len(data))
			}
		})
	}
}
