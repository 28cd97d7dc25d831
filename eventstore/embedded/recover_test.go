package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal/waltest"
)

// runFaulty opens a store on a faulty disk and appends until something fails.
// Each append writes its own stream and a shared one. It returns the ids that
// were acknowledged and those of which nothing is known.
func runFaulty(t *testing.T, dir string, f *waltest.Faulty, appends int) (acked, unknown []eventstore.EventID) {
	cfg := config(dir)
	cfg.JournalBytes, cfg.Files = 700, f
	s, _, err := Open(t.Context(), cfg)
	if err != nil {
		if f.Failed == "" {
			t.Fatal(err)
		}
		return nil, nil
	}
	waitReady(t, s)
	for range appends {
		a := faultyAppend()
		_, err := s.Append(t.Context(), a.Batches...)
		var readOnly *eventstore.ReadOnlyError
		switch {
		case err == nil:
			acked = append(acked, a.FirstID())
		case errors.As(err, &readOnly):
		default:
			unknown = append(unknown, a.FirstID())
		}
	}
	var failed *eventstore.FailedError
	if len(unknown) > 0 && !errors.As(s.Err(), &failed) {
		t.Errorf("%s: appends fail, but the store has not: %v", f.Failed, s.Err())
	}
	if head, _ := s.Wait(); int(head)%2 != 0 {
		t.Errorf("%s: half an append can be read", f.Failed)
	}
	_ = s.Close() // it may be the step that fails
	return acked, unknown
}

func faultyAppend() eventstore.Append {
	a := one("own-"+eventstore.NewEventID().String(), eventstore.NoStream, 1)
	a.Batches = append(a.Batches, eventstore.Batch{
		Stream: "shared", Expect: eventstore.Any, Events: []eventstore.Event{event(a.FirstID().Next(), "s")},
	})
	return a
}

// Each step on disk fails once, in each way; then the store is opened again and
// the checker looks at all of it: what was acknowledged is there, nothing is
// half there.
func TestEachStepFailing(t *testing.T) {
	const appends = 6
	stride := 1
	if testing.Short() {
		stride = 5
	}
	base := newDir(t)
	before, _ := runFaulty(t, base, new(waltest.Faulty), 2)
	for i, row := range []struct {
		name  string
		fault waltest.Faulty
	}{
		{"fails", waltest.Faulty{Err: unix.EIO}},
		{"fails but was done", waltest.Faulty{Err: unix.EIO, Persisted: true}},
		{"finds the disk full half way", waltest.Faulty{Err: unix.ENOSPC, Half: true}},
	} {
		for at := 1 + i%stride; ; at += stride {
			dir := newDir(t)
			if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
				t.Fatal(err)
			}
			acked := slices.Clone(before)
			f := row.fault
			f.At = at
			more, unknown := runFaulty(t, dir, &f, appends)
			if f.Failed == "" {
				break
			}
			checkAcked(t, fmt.Sprintf("step %d, %s, %s", at, f.Failed, row.name), dir, append(acked, more...), unknown)
		}
	}
}

func checkAcked(t *testing.T, name, dir string, acked, unknown []eventstore.EventID) {
	t.Helper()
	s, _, err := Open(t.Context(), config(dir))
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer s.Close()
	waitReady(t, s)
	found := make(map[eventstore.EventID]bool)
	for i, r := range all(t, s) {
		if i%2 == 0 {
			found[r.ID] = true
		}
	}
	for _, id := range acked {
		if !found[id] {
			t.Errorf("%s: acknowledged append %s is lost", name, id)
		}
		delete(found, id)
	}
	for _, id := range unknown {
		delete(found, id)
	}
	if len(found) > 0 {
		t.Errorf("%s: %d appends are there though they were refused", name, len(found))
	}
	mustAppend(t, s, faultyAppend())
}

// filledStore makes a store with n appends over a few journals, and closes it.
func filledStore(t *testing.T, cfg Config, n int) {
	t.Helper()
	s, _, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	waitReady(t, s)
	for i := range n {
		mustAppend(t, s, one(fmt.Sprintf("s-%d", i%5), eventstore.Any, 2))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestALogThatLostRecordsIsRefused(t *testing.T) {
	dir := newDir(t)
	cfg := config(dir)
	filledStore(t, cfg, 3)
	cfg.MinHead = 7
	var damaged *eventstore.DamageError
	if _, _, err := Open(t.Context(), cfg); !errors.As(err, &damaged) ||
		damaged.Position != 6 || !strings.Contains(err.Error(), "#7") {
		t.Errorf("a log that ends before #7: %v", err)
	}
	cfg.MinHead = 6
	openStore(t, cfg)
}

func TestASealedJournalIsReadFromDisk(t *testing.T) {
	cfg := config(newDir(t))
	cfg.JournalBytes = 1 << 10
	filledStore(t, cfg, 40)
	segments, err := filepath.Glob(filepath.Join(cfg.Dir, logName, "0*", "0*"))
	if err != nil || len(segments) < 3 {
		t.Fatal(segments, err)
	}
	data, err := os.ReadFile(segments[1])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(segments[1], data, fileMode); err != nil {
		t.Fatal(err)
	}
	s, _, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var damaged *eventstore.DamageError
	if _, err := checkAll(t.Context(), s); !errors.As(err, &damaged) || damaged.File != segments[1] || damaged.Position == 0 {
		t.Errorf("a flipped bit in a sealed journal: %v", err)
	}
	select {
	case <-s.Failed():
	default:
		t.Error("the store goes on with a damaged log")
	}
	if _, err := s.Append(t.Context(), one("x", eventstore.Any, 1).Batches...); !errors.As(err, &damaged) {
		t.Errorf("an append to a damaged log: %v", err)
	}
}

func TestTimesAndChainByPosition(t *testing.T) {
	cfg := config(newDir(t))
	cfg.JournalBytes = 1 << 10
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cfg.Clock = func() time.Time { return now }
	s, _ := openStore(t, cfg)
	var ids eventstore.EventIDs
	const n = 40
	for i := range n {
		id := ids.New(now)
		mustAppend(t, s, eventstore.Append{Batches: []eventstore.Batch{{
			Stream: "a", Expect: eventstore.Exactly(eventstore.Revision(i)), Events: []eventstore.Event{event(id, "x")},
		}}})
		now = now.Add(time.Second)
	}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	check := func(s *Store) {
		t.Helper()
		for i := range n {
			for _, off := range []time.Duration{0, time.Nanosecond, time.Second - time.Nanosecond} {
				p, err := s.PositionAt(t.Context(), begin.Add(time.Duration(i)*time.Second+off))
				if err != nil || p != eventstore.Position(i+1) {
					t.Errorf("position %v after record %d: %d, %v", off, i+1, p, err)
				}
			}
		}
		if p, err := s.PositionAt(t.Context(), begin.Add(-1)); p != 0 || err != nil {
			t.Errorf("before the first record: %d, %v", p, err)
		}
		var chain eventstore.Chain
		for _, r := range all(t, s) {
			chain.AddRecord(r)
			if h, err := s.ChainAt(t.Context(), r.Position); err != nil || h != chain.Hash {
				t.Errorf("chain at #%d: %s, %v; expected %s", r.Position, h, err, chain.Hash)
			}
		}
		if _, err := s.ChainAt(t.Context(), n+1); err == nil {
			t.Error("there is a chain beyond the end")
		}
	}
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := openStore(t, cfg)
	check(again)
}

func TestWaitTellsOfEachCommit(t *testing.T) {
	s, _ := openStore(t, config(newDir(t)))
	const n = 50
	go func() {
		for range n {
			if _, err := s.Append(context.Background(), one("a", eventstore.Any, 1).Batches...); err != nil {
				t.Error(err)
			}
		}
	}()
	var seen []*eventstore.Record
	for from := eventstore.Position(1); from <= n; {
		head, next := s.Wait()
		var err error
		if seen, from, err = s.ReadAll(t.Context(), seen, from, 3, eventstore.Filter{}); err != nil {
			t.Fatal(err)
		}
		if from <= head {
			continue
		}
		if from <= n {
			<-next
		}
	}
	for i, r := range seen {
		if r.Position != eventstore.Position(i+1) {
			t.Fatalf("record %d has position %d", i, r.Position)
		}
	}
}

func TestClosingWakesWhoWaits(t *testing.T) {
	s, _, err := Open(t.Context(), config(newDir(t)))
	if err != nil {
		t.Fatal(err)
	}
	_, next := s.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-next
	if _, _, err := s.ReadAll(t.Context(), nil, 1, 1, eventstore.Filter{}); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("reading a closed store: %v", err)
	}
}
