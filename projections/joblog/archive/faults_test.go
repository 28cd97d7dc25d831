package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/eventstore/blob/blobtest"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/archive"
	"github.com/hodei-jobs/hodei/projections/joblog/segment"
)

// faulty is a store that fails: before a call was done, or after it.
type faulty struct {
	blob.Store
	mu     sync.Mutex
	random *rand.Rand
	fails  int           // of 100 calls
	left   int           // calls until it is dead, as after a crash; negative: never
	hangs  chan struct{} // while it is not nil, calls wait for it or their ctx
}

func (f *faulty) fault(ctx context.Context) (before, after error) {
	f.mu.Lock()
	hangs := f.hangs
	if f.left == 0 {
		f.mu.Unlock()
		return blob.ErrUnavailable, nil
	}
	if f.left > 0 {
		f.left--
	}
	fails := f.random.IntN(100) < f.fails
	persisted := f.random.IntN(2) == 0
	f.mu.Unlock()
	if hangs != nil {
		select {
		case <-hangs:
		case <-ctx.Done():
			return ctx.Err(), nil
		}
	}
	switch {
	case fails && persisted:
		return nil, blob.ErrUnavailable
	case fails:
		return blob.ErrUnavailable, nil
	}
	return nil, nil
}

func (f *faulty) set(fails, left int, hangs chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails, f.left, f.hangs = fails, left, hangs
}

func (f *faulty) Put(ctx context.Context, key string, body io.Reader, o blob.Options) error {
	before, after := f.fault(ctx)
	if before != nil {
		return before
	}
	return errors.Join(f.Store.Put(ctx, key, body, o), after)
}

func (f *faulty) Get(ctx context.Context, key string, offset int64, n int) ([]byte, error) {
	if before, after := f.fault(ctx); before != nil || after != nil {
		return nil, blob.ErrUnavailable
	}
	return f.Store.Get(ctx, key, offset, n)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	before, after := f.fault(ctx)
	if before != nil {
		return before
	}
	return errors.Join(f.Store.Delete(ctx, key), after)
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	if before, after := f.fault(ctx); before != nil || after != nil {
		return func(yield func(blob.Info, error) bool) { yield(blob.Info{}, blob.ErrUnavailable) }
	}
	return f.Store.List(ctx, prefix)
}

func newFaulty(t testing.TB, seed uint64) *faulty {
	return &faulty{Store: diskStore(t), random: rand.New(rand.NewPCG(seed, 9)), left: -1}
}

// The store dies after any number of calls, and the server with it; each try
// begins with what the one before left behind. At the end every log is whole, in
// one object, and nothing else is there.
func TestACrashAtAnyStepLosesNothingAndDoublesNothing(t *testing.T) {
	seeds := 12
	if n, _ := strconv.Atoi(os.Getenv("HODEI_LONG")); n > 0 {
		seeds = 400 * n
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			store := newFaulty(t, uint64(seed))
			s, b, r := start(t, store), book{}, rand.New(rand.NewPCG(uint64(seed), 1))
			for range 12 {
				store.set(20*r.IntN(2), r.IntN(25), nil)
				s.run()
				s.random(b, r, 4, 12)
				if r.IntN(3) == 0 {
					s.log.Roll()
				}
				store.set(0, -1, nil) // a catalog that is made anew needs the store
				if r.IntN(6) == 0 {
					s.close()
					lose(t, s)
					s.open()
				} else {
					s.again()
				}
				s.check(b, r)
			}
			s.run()
			for k := range b {
				s.finish(b, k)
			}
			s.archived()
			s.wait("each log is one object", func() bool { return len(blobtest.Keys(t, store.Store, "")) == len(b) })
			s.check(b, r)
			s.wait("all are told of", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.sealed) == len(b) })
			for k := range b {
				if s.sealed[k].Digest != sha256.Sum256(b.bytes(k)) {
					t.Errorf("%v is sealed with another digest", k)
				}
			}
		})
	}
}

// lose removes the catalog.
func lose(t *testing.T, s *server) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.dir, "archive", "catalog")); err != nil {
		t.Fatal(err)
	}
}

// While the store is away or hangs, output is taken and read as before; when it is
// back, all of it gets there.
func TestAStoreThatIsAwayStallsNothingAndLosesNothing(t *testing.T) {
	for name, away := range map[string]func(*faulty) func(){
		"gone": func(f *faulty) func() { f.set(100, -1, nil); return func() {} },
		"hangs": func(f *faulty) func() {
			hangs := make(chan struct{})
			f.set(0, -1, hangs)
			return func() { close(hangs) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := newFaulty(t, 1)
			s, b, r := start(t, store), book{}, rand.New(rand.NewPCG(5, 1))
			s.run()
			s.random(b, r, 3, 10)
			s.archived()
			s.again() // so that it is in no ring
			s.run()
			back := away(store)
			begun := time.Now()
			s.write(b, key(50), []byte("written while the store is away"), 1, 1)
			s.random(b, r, 3, 60)
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("61 writes took %v", took)
			}
			got, _, err := s.log.Read(t.Context(), key(50), 0, 100)
			if err != nil || len(got) != 1 {
				t.Errorf("what is in the journals reads %v, %v", got, err)
			}
			if name == "gone" {
				s.wait("it is warned", func() bool { return len(s.kept.Warnings()) > 0 })
				if w := s.kept.Warnings()[0]; !strings.Contains(w, "logs of jobs stay in their journals") {
					t.Errorf("the warning is %q", w)
				}
				if _, _, err := s.log.Read(t.Context(), key(0), 0, 1); !errors.Is(err, joblog.ErrAway) {
					t.Errorf("what is in the store reads %v", err)
				}
			}
			if len(s.log.Closed()) == 0 {
				t.Error("no journal has gathered")
			}
			store.set(0, -1, nil)
			back()
			s.archived()
			s.check(b, r)
			s.wait("nothing is warned of", func() bool { return len(s.kept.Warnings()) == 0 })
		})
	}
}

func TestTheCatalogIsMadeAnewFromTheStore(t *testing.T) {
	s, b, r := start(t, diskStore(t)), book{}, rand.New(rand.NewPCG(6, 1))
	s.run()
	for range 3 {
		s.random(b, r, 4, 20)
		s.write(b, key(30), []byte("more\n"), 1, 1)
		s.archived()
	}
	s.finish(b, key(30))
	s.archived()
	s.wait("it is sealed", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.sealed) == 1 })
	size := s.kept.Size()
	s.close()
	lose(t, s)
	s.open()
	s.check(b, r)
	if _, ok := s.log.Ended(key(30)); !ok || s.kept.Size() != size {
		t.Errorf("ended: %t; it takes %d bytes, before %d", ok, s.kept.Size(), size)
	}
	s.run()
	s.random(b, r, 4, 10)
	s.check(b, r)
}

// Whatever byte of the catalog is flipped: logs read as they were written, or the
// damage is told, and after one more start all is as it was.
func TestAFlippedByteOfTheCatalogIsFoundOrHarmless(t *testing.T) {
	s, b, r := start(t, diskStore(t)), book{}, rand.New(rand.NewPCG(7, 1))
	s.run()
	s.random(b, r, 4, 30)
	s.archived()
	s.finish(b, key(0))
	s.archived()
	s.wait("it is sealed", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.sealed) == 1 })
	s.close()
	path := filepath.Join(s.dir, "archive", "catalog")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for i, c := range whole {
		if c != 0 {
			used = i
		}
	}
	open := func() *archive.Archive {
		t.Helper()
		kept, err := archive.Open(t.Context(), archive.Config{Dir: filepath.Dir(path), Store: s.store, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	anew := 0
	for range 150 {
		data := bytes.Clone(whole)
		data[r.IntN(used+1)] ^= byte(1 + r.IntN(255))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		kept := open()
		for k := range b {
			e, err := kept.Extent(k)
			if err == nil && (!e.Known || e.End != b.end(k)) {
				t.Logf("flipped, %v is known as %+v", k, e)
				if err := kept.Verify(t.Context()); err == nil {
					t.Errorf("%v is known as %+v, and the catalog is said to be sound", k, e)
				}
			}
		}
		if err := kept.Close(); err != nil {
			t.Log(err)
		}
		if _, err := os.Stat(path + ".broken"); err != nil {
			continue // it was found harmless, or made anew at once
		}
		anew++
		kept = open()
		for k := range b {
			if e, err := kept.Extent(k); err != nil || !e.Known || e.End != b.end(k) || e.Ended != (k == key(0)) {
				t.Errorf("made anew, %v is known as %+v, %v; it has %d bytes", k, e, err, b.end(k))
			}
		}
		if err := errors.Join(kept.Verify(t.Context()), kept.Close()); err != nil {
			t.Errorf("the catalog that was made anew: %v", err)
		}
	}
	if anew == 0 {
		t.Error("no damage led to another catalog")
	}
}

func TestADamagedSegmentIsToldAndHoldsUpNoOther(t *testing.T) {
	s, b := start(t, diskStore(t)), book{}
	s.run()
	s.write(b, key(1), []byte("damaged"), 1, 1)
	s.write(b, key(2), []byte("sound"), 1, 1)
	s.archived()
	s.again() // so that it is in no ring
	s.run()
	name := blobtest.Keys(t, s.store, "")[0]
	data := blobtest.Get(t, s.store, name)
	data[40] ^= 1
	blobtest.Put(t, s.store, name, data)
	bad, good := key(1), key(2)
	if !strings.Contains(name, bad.Job.String()) {
		bad, good = good, bad
	}
	if _, _, err := s.log.Read(t.Context(), bad, 0, 10); !errors.Is(err, joblog.ErrDamaged) || !errors.Is(err, segment.ErrDamaged) {
		t.Errorf("it reads %v", err)
	}
	s.finish(b, key(1))
	s.finish(b, key(2))
	s.archived()
	s.wait("the sound one is sealed", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, ok := s.sealed[good]
		return ok
	})
	s.wait("it is warned", func() bool {
		w := s.kept.Warnings()
		return len(w) == 1 && strings.Contains(w[0], "sealed")
	})
}
