package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/eventstore/blob/blobtest"
	"github.com/hodei-jobs/hodei/eventstore/blob/disk"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/archive"
	"github.com/hodei-jobs/hodei/projections/joblog/segment"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

const patience = 30 * time.Second

// key names logs, every other one a series beside the log before it.
func key(n int) joblog.Key {
	k := joblog.Key{Job: id.FromBytes([5]byte{7, 1, 0, byte(n >> 9), byte(n >> 1)}), Attempt: uint32(1 + n/2%3)}
	if n%2 == 1 {
		k = k.Series()
	}
	return k
}

// server is a log with its archive, which can be stopped and started again.
type server struct {
	t      testing.TB
	dir    string
	store  blob.Store
	config archive.Config
	log    *joblog.Log
	kept   *archive.Archive
	epoch  uint64
	empty  int64 // bytes of journals that have nothing
	stop   context.CancelFunc
	ran    chan struct{}

	mu     sync.Mutex
	sealed map[joblog.Key]segment.Summary
}

func start(t testing.TB, store blob.Store) *server {
	s := &server{t: t, dir: t.TempDir(), store: store, sealed: map[joblog.Key]segment.Summary{}}
	s.open()
	t.Cleanup(s.close)
	return s
}

func diskStore(t testing.TB) blob.Store {
	t.Helper()
	s, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// open begins with what is on disk; nothing is moved until run.
func (s *server) open() {
	s.t.Helper()
	c := s.config
	c.Dir, c.Store, c.Logger, c.Sealed = filepath.Join(s.dir, "archive"), s.store, quiet, s.seal
	var err error
	if s.kept, err = archive.Open(context.Background(), c); err != nil {
		s.t.Fatal(err)
	}
	s.log, err = joblog.Open(filepath.Join(s.dir, "logs"), joblog.Options{
		Archive: s.kept, JournalBytes: 8 << 10, RingBytes: 1, Window: 1 << 20, Logger: quiet,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.epoch++; s.epoch == 1 {
		s.empty = s.log.Size()
	}
}

func (s *server) run() {
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.ran = make(chan struct{})
	go func() { defer close(s.ran); s.kept.Run(ctx, s.log) }()
}

func (s *server) close() {
	if s.stop != nil {
		s.stop()
		<-s.ran
		s.stop = nil
	}
	if s.log != nil {
		_ = s.log.Close()
		_ = s.kept.Close()
		s.log = nil
	}
}

func (s *server) again() {
	s.t.Helper()
	s.close()
	s.open()
}

func (s *server) seal(_ context.Context, sum segment.Summary) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, ok := s.sealed[sum.Key]; ok && have != sum {
		s.t.Errorf("%v is sealed as %+v, before as %+v", sum.Key, sum, have)
	}
	s.sealed[sum.Key] = sum
	return nil
}

// book is what jobs have written, to compare with.
type book map[joblog.Key][]joblog.Piece

func (b book) end(k joblog.Key) uint64 {
	if n := len(b[k]); n > 0 {
		return b[k][n-1].End()
	}
	return 0
}

func (b book) bytes(k joblog.Key) (all []byte) {
	for _, p := range b[k] {
		all = append(all, p.Data...)
	}
	return all
}

// write lets a job write a piece, and waits until it is durable.
func (s *server) write(b book, k joblog.Key, data []byte, tag uint8, at int64) {
	s.t.Helper()
	head, err := s.log.Take(context.Background(), k, s.epoch, nil)
	if err != nil || head != b.end(k) {
		s.t.Fatalf("%v is taken at %d, want %d, %v", k, head, b.end(k), err)
	}
	p := joblog.Piece{Tag: tag, Offset: head, Time: at, Data: data}
	if err := s.log.Append(k, s.epoch, p); err != nil {
		s.t.Fatal(err)
	}
	if err := s.log.WaitDurable(context.Background(), k, p.End()); err != nil {
		s.t.Fatal(err)
	}
	b[k] = append(b[k], p)
}

func (s *server) finish(b book, k joblog.Key) {
	s.log.Finish(k, b.end(k))
	s.wait("the end is durable", func() bool { _, _, next := s.log.Wait(k); return next == nil })
}

// wait waits until something holds, which changes when journals or the archive do.
func (s *server) wait(what string, holds func() bool) {
	s.t.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(patience); !holds(); <-look.C {
		if time.Now().After(end) {
			s.t.Fatalf("it never came to be that %s; warnings %q", what, s.kept.Warnings())
		}
	}
}

// archived closes the journal and waits until nothing is in journals.
func (s *server) archived() {
	s.t.Helper()
	s.log.Roll()
	s.wait("nothing is in journals", func() bool { return s.log.Size() == s.empty })
}

// check reads all logs, by odd limits and from odd offsets, and compares tags and
// times of each byte.
func (s *server) check(b book, r *rand.Rand) {
	s.t.Helper()
	for k, pieces := range b {
		want := b.bytes(k)
		if head := s.log.Head(k); head != uint64(len(want)) {
			s.t.Fatalf("%v has its head at %d, want %d", k, head, len(want))
		}
		var got []byte
		start := uint64(r.IntN(len(want) + 1))
		for at := start; ; {
			found, next, err := s.log.Read(context.Background(), k, at, 1+r.IntN(3000))
			if err != nil {
				s.t.Fatalf("%v at %d: %v", k, at, err)
			}
			for _, p := range found {
				if !same(pieces, p) {
					s.t.Fatalf("%v: the piece of %d bytes from %d has another tag or time", k, len(p.Data), p.Offset)
				}
				got = append(got, p.Data...)
			}
			if next == at {
				break
			}
			at = next
		}
		if !bytes.Equal(got, want[start:]) {
			s.t.Fatalf("%v from %d: %d bytes are not the %d that were written", k, start, len(got), len(want)-int(start))
		}
	}
}

func same(pieces []joblog.Piece, p joblog.Piece) bool {
	for _, w := range pieces {
		if w.Offset <= p.Offset && p.End() <= w.End() {
			return w.Tag == p.Tag && w.Time == p.Time
		}
	}
	return false
}

// random lets jobs write pieces of all sizes.
func (s *server) random(b book, r *rand.Rand, jobs, pieces int) {
	s.t.Helper()
	for range pieces {
		data := make([]byte, 1+r.IntN(2500))
		for i := range data {
			data[i] = "abcdefgh\n\x00\xff"[r.IntN(11)]
		}
		s.write(b, key(r.IntN(jobs)), data, uint8(1+r.IntN(2)), r.Int64N(1<<60))
	}
}

func TestLogsMoveIntoTheStoreAndAreReadAsBefore(t *testing.T) {
	s, b, r := start(t, diskStore(t)), book{}, rand.New(rand.NewPCG(1, 1))
	s.run()
	for range 4 {
		s.random(b, r, 5, 40)
		s.check(b, r)
		s.archived()
		s.check(b, r)
		s.again()
		s.check(b, r)
		s.run()
	}
	for k := range b {
		s.finish(b, k)
	}
	s.archived()
	s.wait("all are sealed", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.sealed) == len(b) })
	s.wait("each is one object", func() bool { return len(blobtest.Keys(t, s.store, "")) == len(b) })
	s.check(b, r)
	s.again()
	s.check(b, r)
	for k := range b {
		all := b.bytes(k)
		want := segment.Summary{Key: k, End: uint64(len(all)), Lines: uint64(bytes.Count(all, []byte{'\n'})), Digest: sha256.Sum256(all)}
		if s.sealed[k] != want {
			t.Errorf("%v is sealed as %+v, want %+v", k, s.sealed[k], want)
		}
		if end, ok := s.log.Ended(k); !ok || end != want.End {
			t.Errorf("%v ended at %d, %t", k, end, ok)
		}
		if _, err := s.log.Take(t.Context(), k, 99, nil); err == nil {
			t.Errorf("%v can be taken after its end", k)
		}
	}
}

func TestManySmallSegmentsAreMergedWhileALogGrows(t *testing.T) {
	s, b := start(t, diskStore(t)), book{}
	s.run()
	for i := range 40 {
		s.write(b, key(1), fmt.Appendf(nil, "line %d\n", i), 1, int64(i))
		s.archived()
	}
	s.wait("they are merged", func() bool { return len(blobtest.Keys(t, s.store, "")) < 16 })
	s.check(b, rand.New(rand.NewPCG(2, 1)))
}

func TestASlowJobDoesNotHoldJournals(t *testing.T) {
	s, b := start(t, diskStore(t)), book{}
	s.run()
	s.write(b, key(0), []byte("slow: "), 1, 1)
	for i := range 30 {
		s.write(b, key(1), bytes.Repeat([]byte{'x'}, 2000), 1, int64(i))
	}
	s.wait("at most the newest journal is left", func() bool { return len(s.log.Closed()) == 0 && s.log.Size() < 20<<10 })
	s.write(b, key(0), []byte("and steady"), 1, 2)
	s.check(b, rand.New(rand.NewPCG(3, 1)))
}

func TestAnOldJournalIsClosedThoughItIsSmall(t *testing.T) {
	kept, err := archive.Open(t.Context(), archive.Config{Dir: t.TempDir(), Store: diskStore(t), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	log, err := joblog.Open(t.TempDir(), joblog.Options{Archive: kept, JournalAge: 20 * time.Millisecond, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	rolled := log.Rolled()
	s := &server{t: t, log: log, kept: kept, epoch: 1}
	t.Cleanup(s.close)
	s.write(book{}, key(1), []byte("x"), 1, 1)
	select {
	case <-rolled:
	case <-time.After(patience):
		t.Fatal("it is not closed")
	}
}

func TestAnEmptyLogLeavesNothingInTheStore(t *testing.T) {
	s, b := start(t, diskStore(t)), book{}
	s.run()
	if _, err := s.log.Take(t.Context(), key(1), s.epoch, nil); err != nil {
		t.Fatal(err)
	}
	s.finish(b, key(1))
	s.archived()
	s.again()
	if end, ok := s.log.Ended(key(1)); !ok || end != 0 {
		t.Errorf("it ended at %d, %t", end, ok)
	}
	if got := blobtest.Keys(t, s.store, ""); len(got) > 0 {
		t.Errorf("there are %v", got)
	}
}

func TestRetention(t *testing.T) {
	for _, c := range []struct {
		name   string
		config func(now *time.Time) archive.Config
	}{
		{"by age", func(now *time.Time) archive.Config {
			return archive.Config{Keep: time.Hour, Clock: func() time.Time { return *now }}
		}},
		{"by size", func(now *time.Time) archive.Config {
			return archive.Config{KeepBytes: 3000, Clock: func() time.Time { return *now }}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, b := &server{t: t, dir: t.TempDir(), store: diskStore(t), sealed: map[joblog.Key]segment.Summary{}}, book{}
			now := time.Unix(1_800_000_000, 0)
			s.config = c.config(&now)
			s.open()
			t.Cleanup(s.close)
			r := rand.New(rand.NewPCG(4, 1))
			for n := range 3 {
				noise := make([]byte, 2000)
				for i := range noise {
					noise[i] = byte(r.Uint32())
				}
				s.run()
				s.write(b, key(n), noise, 1, 1)
				s.finish(b, key(n))
				s.archived()
				s.wait("it is sealed", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.sealed) == n+1 })
				s.close()
				now = now.Add(50 * time.Minute)
				s.open()
			}
			s.run()
			s.wait("the old ones are removed", func() bool { return len(blobtest.Keys(t, s.store, "")) == 1 })
			for n, want := range []error{joblog.ErrGone, joblog.ErrGone, nil} {
				_, _, err := s.log.Read(t.Context(), key(n), 0, 100)
				if want == nil && err != nil || want != nil && !strings.Contains(fmt.Sprint(err), want.Error()) {
					t.Errorf("log %d gets %v, want %v", n, err, want)
				}
				if end, ok := s.log.Ended(key(n)); !ok || end != 2000 {
					t.Errorf("log %d ended at %d, %t", n, end, ok)
				}
			}
		})
	}
}
