package joblog

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/id"
)

func TestContentsComeBackFromTheirSeal(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var c contents
	for i := range 2000 {
		k := Key{Job: id.FromBytes([5]byte{1, byte(i % 7)}), Attempt: uint32(1 + i%3)}
		p := part{key: k, ended: i > 1990}
		if have := c.byKey[k]; have != nil {
			p.first = have.end
		}
		if p.end = p.first + uint64(random.IntN(1000)); p.end > p.first {
			p.spans = spans{{p.first, uint64(10 + i)}}
		}
		c.add(p)
	}
	parts, err := decodeContents(c.encode())
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range parts {
		want := *c.parts[i]
		if !reflect.DeepEqual(p, want) {
			t.Errorf("got %.200v, want %.200v", p, want)
		}
		if len(p.spans) > maxSpansSealed || p.spans[0].offset != 0 {
			t.Errorf("%d spans, the first at %d", len(p.spans), p.spans[0].offset)
		}
	}
	whole := c.encode()
	for n := 0; n < len(whole); n += 1 + random.IntN(20) {
		_, _ = decodeContents(whole[:n]) // whatever is said, nothing panics
		flipped := slices.Clone(whole)
		flipped[n] ^= byte(1 + random.IntN(255))
		_, _ = decodeContents(flipped)
	}
}

func TestTooManyContentsAreLeftOut(t *testing.T) {
	var c contents
	for i := range maxParts + 2 {
		c.add(part{key: Key{Job: id.ID(i + 1), Attempt: 1}})
	}
	if got := c.encode(); got != nil || c.parts != nil {
		t.Errorf("%d bytes", len(got))
	}
}

// TestRingsAreCountedRight: what all rings hold is what their attempts hold, and
// nothing once all have ended.
func TestRingsAreCountedRight(t *testing.T) {
	log, err := Open(t.TempDir(), Options{RingBytes: 100_000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	const attempts = 20
	for i := range attempts {
		k := Key{Job: id.ID(i + 1), Attempt: 1}
		if _, err := log.Take(t.Context(), k, 1, nil); err != nil {
			t.Fatal(err)
		}
		for at := range uint64(30) {
			if err := log.Append(k, 1, Piece{Tag: 1, Offset: at * 5000, Data: make([]byte, 5000)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range attempts {
		if err := log.WaitDurable(t.Context(), Key{Job: id.ID(i + 1), Attempt: 1}, 30*5000); err != nil {
			t.Fatal(err)
		}
	}
	for i := range attempts {
		log.Finish(Key{Job: id.ID(i + 1), Attempt: 1}, 30*5000)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if held, open := log.rings.Load(), log.registry.count.Load(); held != 0 || open != 0 {
		t.Errorf("%d bytes in the rings of %d open logs", held, open)
	}
}

// TestDamageInAnOldJournal: opening reads only what the seals say and the newest
// journal; damage in another is found by who reads there, and harms nobody else.
func TestDamageInAnOldJournal(t *testing.T) {
	dir := t.TempDir()
	open := func() *Log {
		t.Helper()
		log, err := Open(dir, Options{RingBytes: 1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return log
	}
	log := open()
	const attempts, size = 100, 120_000 // 12 MB: three journals
	key := func(i int) Key { return Key{Job: id.ID(i + 1), Attempt: 1} }
	text := func(i int) string { return strings.Repeat(fmt.Sprintf("%06d,", i), size/7+1)[:size] }
	for i := range attempts {
		if _, err := log.Take(t.Context(), key(i), 1, nil); err != nil {
			t.Fatal(err)
		}
		for at := 0; at < size; at += 40_000 {
			if err := log.Append(key(i), 1, Piece{Tag: 1, Offset: uint64(at), Data: []byte(text(i)[at : at+40_000])}); err != nil {
				t.Fatal(err)
			}
		}
		log.Finish(key(i), size)
		if err := log.WaitDurable(t.Context(), key(i), size); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*", "0*"))
	if err != nil || len(segments) < 3 {
		t.Fatalf("%d journals, %v", len(segments), err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	log = open()
	defer log.Close()
	failed := 0
	for i := range attempts {
		var got strings.Builder
		for next := uint64(0); ; {
			pieces, after, err := log.Read(t.Context(), key(i), next, 1<<20)
			if err != nil {
				failed++
				break
			}
			if len(pieces) == 0 {
				if got.String() != text(i) {
					t.Errorf("log %d reads otherwise than it was written", i)
				}
				break
			}
			for _, p := range pieces {
				got.Write(p.Data)
			}
			next = after
		}
	}
	if failed == 0 || failed > 4 {
		t.Errorf("%d logs can't be read", failed)
	}
}
