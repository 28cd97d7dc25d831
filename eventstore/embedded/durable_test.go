package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// gate is the disk with a gate before each sync of a segment.
type gate struct {
	wal.Disk
	closed  atomic.Bool
	arrived chan struct{} // a sync waits at the closed gate
	open    chan error    // lets one pass, or fail
}

func (g *gate) Segment(dir string) (wal.Segment, error) {
	s, err := g.Disk.Segment(dir)
	return gatedSegment{s, g}, err
}

type gatedSegment struct {
	wal.Segment
	g *gate
}

func (s gatedSegment) Sync() error {
	if s.g.closed.Load() {
		s.g.arrived <- struct{}{}
		if err := <-s.g.open; err != nil {
			return err
		}
	}
	return s.Segment.Sync()
}

// While a sync is under way nobody sees what it will make durable, nor is
// anybody answered; if it fails nobody ever does, and the store stops.
func TestNothingIsSeenBeforeItIsDurable(t *testing.T) {
	for _, row := range []struct {
		name string
		sync error
		want eventstore.Position
	}{{"the sync succeeds", nil, 2}, {"the sync fails", unix.EIO, 1}} {
		g := &gate{arrived: make(chan struct{}), open: make(chan error)}
		cfg := config(newDir(t))
		cfg.Files = g
		s, _ := openStore(t, cfg)
		mustAppend(t, s, one("a", eventstore.NoStream, 1))
		g.closed.Store(true)
		answered := make(chan error, 1)
		go func() {
			_, err := s.Append(context.Background(), one("a", eventstore.Exactly(1), 1).Batches...)
			answered <- err
		}()
		<-g.arrived
		if n := len(all(t, s)); n != 1 {
			t.Errorf("%s: %d records are seen while it is under way", row.name, n)
		}
		select {
		case err := <-answered:
			t.Errorf("%s: answered %v while it is under way", row.name, err)
		default:
		}
		g.closed.Store(false)
		g.open <- row.sync
		err := <-answered
		var failed *eventstore.FailedError
		if (row.sync == nil) != (err == nil) || err != nil && !(errors.As(err, &failed) && errors.Is(err, row.sync)) {
			t.Errorf("%s: answered %v", row.name, err)
		}
		if head, _ := s.Wait(); head != row.want || len(all(t, s)) != int(row.want) {
			t.Errorf("%s: the head is #%d, expected #%d", row.name, head, row.want)
		}
		if row.sync != nil {
			<-s.Failed()
			if _, err := s.Append(t.Context(), one("b", eventstore.Any, 1).Batches...); !errors.As(err, &failed) {
				t.Errorf("%s: a later append is answered %v", row.name, err)
			}
		}
	}
}

// Bits of every file in the folder are flipped, one at a time: the store refuses
// to open, or says what is wrong when it is read, or all is there.
func TestAFlippedBitIsFoundOrHarmless(t *testing.T) {
	cfg := config(newDir(t))
	cfg.JournalBytes = 2 << 10
	filledStore(t, cfg, 30)
	s, _, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := all(t, s)
	snap := eventstore.Snapshot{Name: "world", Version: "1", Position: 50, Data: []byte("state")}
	if err := errors.Join(s.SaveSnapshot(t.Context(), snap, 1), s.Close()); err != nil {
		t.Fatal(err)
	}
	var files []string
	err = filepath.WalkDir(cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(cfg.Dir, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	each := 10
	if testing.Short() {
		each = 3
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, file := range files {
		for range each {
			flipOne(t, cfg, file, random, want)
		}
	}
}

func flipOne(t *testing.T, cfg Config, file string, random *rand.Rand, want []*eventstore.Record) {
	t.Helper()
	copied := newDir(t)
	if err := os.CopyFS(copied, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(copied, file)
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return
	}
	at := random.IntN(len(data))
	for tries := 0; data[at] == 0 && tries < 1000; tries++ { // a byte in use, most likely
		at = random.IntN(len(data))
	}
	data[at] ^= 1 << random.IntN(8)
	if err := os.WriteFile(path, data, fileMode); err != nil {
		t.Fatal(err)
	}
	cfg.Dir = copied
	var damaged *eventstore.DamageError
	s, _, err := Open(t.Context(), cfg)
	if errors.As(err, &damaged) {
		return
	}
	if err != nil {
		t.Errorf("%s byte %d: %v", file, at, err)
		return
	}
	defer s.Close()
	got, err := checkAll(t.Context(), s)
	if errors.As(err, &damaged) {
		return
	}
	if err != nil || len(got) != len(want) {
		t.Errorf("%s byte %d: %d records of %d, %v", file, at, len(got), len(want), err)
		return
	}
	waitReady(t, s)
	var conflict *eventstore.ConflictError
	if _, err := s.Append(t.Context(), one("s-1", eventstore.NoStream, 1).Batches...); !errors.As(err, &conflict) {
		t.Errorf("%s byte %d: NoStream on a stream that exists: %v", file, at, err)
	}
	if _, ok, skipped, err := s.LoadSnapshot(t.Context(), "world", "1", 0); err != nil || !ok && len(skipped) == 0 {
		t.Errorf("%s byte %d: snapshot %v, %v, %v", file, at, ok, skipped, err)
	}
}

func TestASnapshotOfAnotherLogIsPassedOver(t *testing.T) {
	cfg, other := config(newDir(t)), config(newDir(t))
	filledStore(t, cfg, 5)
	filledStore(t, other, 5)
	s, _ := openStore(t, cfg)
	if err := s.SaveSnapshot(t.Context(), eventstore.Snapshot{Name: "w", Version: "1", Position: 6}, 2); err != nil {
		t.Fatal(err)
	}
	if snap, ok, _, err := s.LoadSnapshot(t.Context(), "w", "1", 0); !ok || err != nil || snap.Position != 6 {
		t.Errorf("the own snapshot: %+v, %v, %v", snap, ok, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(other.Dir, snapshotsDir), os.DirFS(filepath.Join(cfg.Dir, snapshotsDir))); err != nil {
		t.Fatal(err)
	}
	s, _ = openStore(t, other)
	if _, ok, skipped, err := s.LoadSnapshot(t.Context(), "w", "1", 0); ok || len(skipped) != 1 || err != nil {
		t.Errorf("another log's snapshot: %v, %v, %v", ok, skipped, err)
	}
}

func TestASnapshotBeyondTheLogIsProofOfLoss(t *testing.T) {
	cfg, shorter := config(newDir(t)), config(newDir(t))
	filledStore(t, cfg, 5)
	filledStore(t, shorter, 2)
	s, _ := openStore(t, cfg)
	if err := s.SaveSnapshot(t.Context(), eventstore.Snapshot{Name: "w", Version: "1", Position: 10}, 1); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(shorter.Dir, snapshotsDir), os.DirFS(filepath.Join(cfg.Dir, snapshotsDir))); err != nil {
		t.Fatal(err)
	}
	var damaged *eventstore.DamageError
	if _, _, err := Open(t.Context(), shorter); !errors.As(err, &damaged) || damaged.Position != 4 {
		t.Errorf("a log that ends before a snapshot: %v", err)
	}
}

// register is a stream as porcupine sees it: an append at an exact revision is a
// compare-and-swap of its length.
type registerOp struct {
	stream string
	append bool
	expect eventstore.Revision
}

type registerAnswer struct {
	ok       bool
	revision eventstore.Revision // of a read, or of a conflict
}

var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := make(map[string][]porcupine.Operation)
		for _, op := range history {
			s := op.Input.(registerOp).stream
			by[s] = append(by[s], op)
		}
		var parts [][]porcupine.Operation
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return eventstore.Revision(0) },
	Step: func(state, input, output any) (bool, any) {
		now, op, answer := state.(eventstore.Revision), input.(registerOp), output.(registerAnswer)
		if op.append && answer.ok {
			return now == op.expect, now + 1
		}
		return answer.revision == now && (!op.append || now != op.expect), now
	},
}

// Clients append at the revision they last saw and read, all at once; some order
// of one after the other explains every answer.
func TestAppendsAndReadsAreLinearizable(t *testing.T) {
	const clients, each, streams = 8, 40, 3
	cfg := config(newDir(t))
	cfg.JournalBytes = 4 << 10
	s, _ := openStore(t, cfg)
	began := time.Now()
	histories := make([][]porcupine.Operation, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 7))
			var seen [streams]eventstore.Revision
			for range each {
				k := random.IntN(streams)
				in := registerOp{fmt.Sprintf("s-%d", k), random.IntN(3) > 0, seen[k]}
				call := time.Since(began)
				out := in.do(t, s)
				seen[k] = out.revision
				if out.ok && in.append {
					seen[k] = in.expect + 1
				}
				histories[c] = append(histories[c], porcupine.Operation{
					ClientId: c, Input: in, Output: out, Call: int64(call), Return: int64(time.Since(began)),
				})
			}
		})
	}
	wg.Wait()
	var history []porcupine.Operation
	for _, h := range histories {
		history = append(history, h...)
	}
	if got := porcupine.CheckOperationsTimeout(registers, history, 20*time.Second); got != porcupine.Ok {
		t.Errorf("%d operations are %s", len(history), got)
	}
}

func (op registerOp) do(t *testing.T, s *Store) registerAnswer {
	if !op.append {
		r, err := s.StreamRevision(t.Context(), eventstore.StreamID(op.stream))
		if err != nil {
			t.Error(err)
		}
		return registerAnswer{true, r}
	}
	_, err := s.Append(t.Context(), one(op.stream, eventstore.Exactly(op.expect), 1).Batches...)
	var conflict *eventstore.ConflictError
	if errors.As(err, &conflict) {
		return registerAnswer{false, conflict.Actual}
	}
	if err != nil {
		t.Error(err)
	}
	return registerAnswer{true, 0}
}
