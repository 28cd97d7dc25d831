package keyring

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// benchmarked returns a keyring with so many data keys.
func benchmarked(b *testing.B, keys int) *File {
	b.Helper()
	f, err := OpenFile(paths(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("job/%08d", i)
	}
	if _, err := f.CreateDataKeys(b.Context(), names...); err != nil {
		b.Fatal(err)
	}
	return f
}

// One caller, a key at a time: a write and a sync each, however many keys there
// are.
func BenchmarkCreateDataKey(b *testing.B) {
	for _, keys := range []int{0, 100_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			f := benchmarked(b, keys)
			for i := 0; b.Loop(); i++ {
				if _, err := f.CreateDataKeys(b.Context(), fmt.Sprintf("new/%d", i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// 64 callers at once share writes.
func BenchmarkCreateDataKeyTogether(b *testing.B) {
	f := benchmarked(b, 100_000)
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.CreateDataKeys(b.Context(), fmt.Sprintf("new/%d", n.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
}

// A batch of 1,000 jobs.
func BenchmarkCreateDataKeys(b *testing.B) {
	f := benchmarked(b, 100_000)
	names := make([]string, 1000)
	for round := 0; b.Loop(); round++ {
		for i := range names {
			names[i] = fmt.Sprintf("new/%d/%d", round, i)
		}
		if _, err := f.CreateDataKeys(b.Context(), names...); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	f := benchmarked(b, 100_000)
	ring, key := f.path, f.keyPath
	for b.Loop() {
		_ = f.Close()
		var err error
		if f, err = OpenFile(ring, key); err != nil {
			b.Fatal(err)
		}
	}
	_ = f.Close()
}
