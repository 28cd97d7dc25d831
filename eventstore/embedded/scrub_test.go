package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// cold makes a store of sealed journals and returns them, for use in a bubble.
// Event ids are made by the real clock, so it is made outside.
func cold(t *testing.T) (Config, []wal.Journal) {
	t.Helper()
	cfg := config(newDir(t))
	cfg.JournalBytes = 2 << 10
	filledStore(t, cfg, 200)
	s, _, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	journals := s.log.Journals()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Clock = time.Now // that of the bubble
	return cfg, journals[:len(journals)-1]
}

// flip changes a byte in the middle of a journal.
func flip(t *testing.T, j wal.Journal) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(j.Folder(), "0*"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(segments[0], b, fileMode); err != nil {
		t.Fatal(err)
	}
}

// Damage in a journal that nobody reads is found in the background, wherever it is,
// and ends the store with its place.
func TestDamageThatNobodyReadsIsFound(t *testing.T) {
	cfg, journals := cold(t)
	synctest.Test(t, func(t *testing.T) {
		for _, j := range []wal.Journal{journals[0], journals[len(journals)/2], journals[len(journals)-1]} {
			flip(t, j)
			s, _, err := Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Err(); err != nil {
				t.Errorf("it was found at once: %v", err)
			}
			<-s.Failed() // without a time limit: the bubble's clock runs
			var damaged *eventstore.DamageError
			if err := s.Err(); !errors.As(err, &damaged) || uint64(damaged.Position) < j.First-1 || uint64(damaged.Position) >= j.Next {
				t.Errorf("records %d to %d: found was %v", j.First, j.Next-1, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			flip(t, j) // back
		}
	})
}

// The scrub reads as many bytes a second as it may, begins after a while, goes on
// to the end and comes again; appends go on, and the store closes at any time.
func TestTheScrubReadsNoFasterThanItMay(t *testing.T) {
	cfg, journals := cold(t)
	synctest.Test(t, func(t *testing.T) {
		var size int64
		for _, j := range journals {
			size += j.Bytes
		}
		const seconds = 100
		cfg.ScrubBytes = size / seconds
		s, _ := openStore(t, cfg)
		x := &scrub{store: s, rate: cfg.ScrubBytes}
		begun := time.Now()
		n, bytes, err := x.all(t.Context(), 0)
		if took := time.Since(begun).Seconds(); n != len(journals) || err != nil || took < 0.9*seconds || took > seconds+1 {
			t.Errorf("%d of %d journals, %d of %d bytes, took %.1f s, expected %d: %v", n, len(journals), bytes, size, took, seconds, err)
		}
		if n, _, err := x.all(t.Context(), 0.5); err != nil || n != len(journals)-len(journals)/2 {
			t.Errorf("from the middle on %d of %d journals, %v", n, len(journals), err)
		}
		<-time.After(scrubAfter + seconds*time.Second/2) // the store's own is under way
		mustAppend(t, s, one("more", eventstore.NoStream, 1))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What can't be read is told of and tried again: it may be the disk's fault, not the
// log's.
func TestALogThatCanNotBeReadIsTriedAgain(t *testing.T) {
	cfg, journals := cold(t)
	segments, err := filepath.Glob(filepath.Join(journals[1].Folder(), "0*"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	synctest.Test(t, func(t *testing.T) {
		s, _ := openStore(t, cfg)
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.Rename(segments[0], segments[0]+".away"))
		must(os.Mkdir(segments[0], 0o700)) // reading it fails
		for range 2 {
			<-time.After(2 * scrubEvery) // the first round begins anywhere
			if s.Unverified() == nil || s.Err() != nil {
				t.Errorf("told is %v, the store has ended with %v", s.Unverified(), s.Err())
			}
		}
		must(os.Remove(segments[0]))
		must(os.Rename(segments[0]+".away", segments[0]))
		<-time.After(scrubAfter + time.Hour)
		if s.Unverified() != nil || s.Err() != nil {
			t.Errorf("when it can be read again: %v, %v", s.Unverified(), s.Err())
		}
	})
}

func TestNoScrubIfItIsNotWanted(t *testing.T) {
	cfg, journals := cold(t)
	synctest.Test(t, func(t *testing.T) {
		flip(t, journals[0])
		cfg.ScrubBytes = -1
		s, _ := openStore(t, cfg)
		select {
		case <-s.Failed():
			t.Errorf("it was read all the same: %v", s.Err())
		case <-time.After(30 * 24 * time.Hour):
		}
	})
}
