package joblog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// shelf is an archive in memory.
type shelf struct {
	mu   sync.Mutex
	logs map[joblog.Key]*shelved
	read int // how often it was read
}

type shelved struct {
	pieces []joblog.Piece
	extent joblog.Extent
}

func (s *shelf) Extent(k joblog.Key) (joblog.Extent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.logs[k]; l != nil {
		return l.extent, nil
	}
	return joblog.Extent{}, nil
}

func (s *shelf) Unended() (keys []joblog.Key, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, l := range s.logs {
		if !l.extent.Ended {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func (s *shelf) Read(_ context.Context, k joblog.Key, from, until uint64, limit int) ([]joblog.Piece, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read++
	for _, p := range s.logs[k].pieces {
		if p.End() > from {
			return []joblog.Piece{p.Cut(from, min(until, from+uint64(limit)))}, nil
		}
	}
	return nil, joblog.ErrDamaged
}

// take moves the parts there, as an archiver does.
func (s *shelf) take(t *testing.T, log *joblog.Log) {
	t.Helper()
	journals := log.Closed()
	parts, err := log.Parts(journals)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	for _, p := range parts {
		l := s.logs[p.Key]
		if l == nil {
			l = &shelved{}
			s.logs[p.Key] = l
		}
		if p.First != l.extent.End {
			t.Errorf("%v goes on at %d after %d", p.Key, p.First, l.extent.End)
		}
		l.pieces = append(l.pieces, p.Pieces...)
		l.extent = joblog.Extent{End: p.End, Ended: p.Ended, Known: true}
	}
	s.mu.Unlock()
	if err := log.Release(journals, parts); err != nil {
		t.Fatal(err)
	}
}

func roll(t *testing.T, log *joblog.Log) {
	t.Helper()
	rolled := log.Rolled()
	log.Roll()
	select {
	case <-rolled:
	case <-time.After(10 * time.Second):
		t.Fatal("no journal is closed")
	}
}

func TestAReaderSeesNoSeamBetweenArchiveAndJournalAndRing(t *testing.T) {
	dir, s := t.TempDir(), &shelf{logs: map[joblog.Key]*shelved{}}
	options := joblog.Options{Archive: s, RingBytes: 1, Logger: quiet}
	log := open(t, dir, options)
	keys, want := []joblog.Key{numbered(1), numbered(2), numbered(3)}, map[joblog.Key]string{}
	check := func(when string) {
		t.Helper()
		for _, k := range keys {
			for _, from := range []int{0, len(want[k]) / 3, len(want[k]) / 2, len(want[k])} {
				if got := readAll(t, log, k, uint64(from), 1000); got != want[k][from:] {
					t.Fatalf("%s: %v from %d reads %d bytes, not the %d that were written", when, k, from, len(got), len(want[k])-from)
				}
			}
		}
	}
	for turn := range 6 {
		for n, k := range keys[:2] { // the third writes in the first turn alone
			if turn == 0 && n == 0 {
				take(t, log, keys[2], 1)
				if err := log.Append(keys[2], 1, out(0, "early")); err != nil {
					t.Fatal(err)
				}
				want[keys[2]] = "early"
			}
			take(t, log, k, uint64(turn+1))
			text := strings.Repeat(fmt.Sprintf("%d of %d\n", turn, n), 9000) // more than a ring keeps
			for at := 0; at < len(text); at += joblog.MaxPiece {
				part := text[at:min(len(text), at+joblog.MaxPiece)]
				if err := log.Append(k, uint64(turn+1), out(uint64(len(want[k])), part)); err != nil {
					t.Fatal(err)
				}
				want[k] += part
			}
			if err := log.WaitDurable(t.Context(), k, uint64(len(want[k]))); err != nil {
				t.Fatal(err)
			}
		}
		check("before the roll")
		roll(t, log)
		check("after the roll")
		if turn%2 == 1 {
			s.take(t, log)
			check("after the archiver")
		}
		if turn == 3 {
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			log = open(t, dir, options)
			check("after a restart")
			if len(log.Open()) != 3 {
				t.Errorf("%d logs are open", len(log.Open()))
			}
		}
	}
	if s.read == 0 {
		t.Error("the archive was never read")
	}
}

func TestALogThatIsWholeInTheArchiveIsNotInMemory(t *testing.T) {
	s := &shelf{logs: map[joblog.Key]*shelved{}}
	log := open(t, t.TempDir(), joblog.Options{Archive: s, Logger: quiet})
	empty := log.Size()
	for n := range 100 {
		k := numbered(n)
		take(t, log, k, 1)
		if err := log.Append(k, 1, out(0, "hello")); err != nil {
			t.Fatal(err)
		}
		log.Finish(k, 5)
		if err := log.WaitDurable(t.Context(), k, 5); err != nil {
			t.Fatal(err)
		}
	}
	take(t, log, numbered(100), 1) // and one that runs
	if err := log.Append(numbered(100), 1, out(0, "hello")); err != nil {
		t.Fatal(err)
	}
	if err := log.WaitDurable(t.Context(), numbered(100), 5); err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		for _, _, next := log.Wait(numbered(n)); next != nil; _, _, next = log.Wait(numbered(n)) {
			<-next
		}
	}
	roll(t, log)
	s.take(t, log)
	if got := log.Remembered(); got != 1 || log.Size() != empty {
		t.Errorf("%d logs are in memory, %d bytes in journals, %d when there were none", got, log.Size(), empty)
	}
	if got := log.Rooms(); got != 1 {
		t.Errorf("there is room for logs in %d maps", got)
	}
	for n := range 100 {
		k := numbered(n)
		head, durable, next := log.Wait(k)
		end, ended := log.Ended(k)
		if head != 5 || durable != 5 || next != nil || end != 5 || !ended || log.Head(k) != 5 || log.Durable(k) != 5 {
			t.Fatalf("%v: head %d, durable %d, end %d, %t", k, head, durable, end, ended)
		}
		if _, err := log.Take(t.Context(), k, 9, nil); !errors.Is(err, joblog.ErrEnded) {
			t.Errorf("taking it gets %v", err)
		}
		if err := log.Append(k, 1, out(5, "x")); !errors.Is(err, joblog.ErrEnded) {
			t.Errorf("a byte after its end gets %v", err)
		}
		log.Finish(k, 5)
	}
	if got := log.Remembered(); got != 1 {
		t.Errorf("asking for them brought %d into memory", got-1)
	}
}

func TestJournalsThatTheArchiveLacksAreMissed(t *testing.T) {
	dir, s := t.TempDir(), &shelf{logs: map[joblog.Key]*shelved{}}
	log := open(t, dir, joblog.Options{Archive: s, Logger: quiet})
	for n := range 2 {
		take(t, log, numbered(1), uint64(n+1))
		if err := log.Append(numbered(1), uint64(n+1), out(uint64(5*n), "hello")); err != nil {
			t.Fatal(err)
		}
		if err := log.WaitDurable(t.Context(), numbered(1), uint64(5*n+5)); err != nil {
			t.Fatal(err)
		}
		roll(t, log)
		if n == 0 {
			s.take(t, log)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := joblog.Open(dir, joblog.Options{Archive: &shelf{}, Logger: quiet})
	if !errors.Is(err, joblog.ErrDamaged) {
		t.Errorf("without the archive it opens with %v", err)
	}
}
