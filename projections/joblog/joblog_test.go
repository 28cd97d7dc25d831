package joblog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func numbered(n int) joblog.Key {
	return joblog.Key{Job: id.FromBytes([5]byte{9, 0, 0, byte(n >> 8), byte(n)}), Attempt: 1}
}

func open(t *testing.T, dir string, o joblog.Options) *joblog.Log {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet
	}
	log, err := joblog.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func take(t *testing.T, log *joblog.Log, k joblog.Key, epoch uint64) uint64 {
	t.Helper()
	have, err := log.Take(t.Context(), k, epoch, nil)
	if err != nil {
		t.Fatal(err)
	}
	return have
}

func out(offset uint64, text string) joblog.Piece {
	return joblog.Piece{Tag: 1, Offset: offset, Time: 1, Data: []byte(text)}
}

func readAll(t *testing.T, log *joblog.Log, k joblog.Key, from uint64, limit int) string {
	t.Helper()
	var all strings.Builder
	for {
		pieces, next, err := log.Read(t.Context(), k, from, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(pieces) == 0 {
			return all.String()
		}
		for _, p := range pieces {
			all.Write(p.Data)
		}
		from = next
	}
}

func TestAppend(t *testing.T) {
	k := numbered(1)
	for _, test := range []struct {
		name  string
		epoch uint64
		piece joblog.Piece
		err   error
		want  string
	}{
		{"what follows is added", 2, out(5, " world"), nil, "hello world"},
		{"what is there already is dropped", 2, out(1, "ell"), nil, "hello"},
		{"of an overlap only the new end is added", 2, out(3, "lo!"), nil, "hello!"},
		{"a gap is refused", 2, out(6, "x"), joblog.ErrGap, "hello"},
		{"an older session is refused", 1, out(5, "x"), joblog.ErrFenced, "hello"},
		{"a session that has not taken the log is refused", 3, out(5, "x"), joblog.ErrFenced, "hello"},
		{"more than the window is refused", 2, out(5, strings.Repeat("x", 97)), joblog.ErrWindow, "hello"},
		{"a piece beyond the limit is refused", 2, out(5, strings.Repeat("x", joblog.MaxPiece+1)), joblog.ErrLarge, "hello"},
		{"an offset that can't be named is refused", 2, out(joblog.MaxOffset, "x"), joblog.ErrLarge, "hello"},
		{"nothing is added by nothing", 2, out(5, ""), nil, "hello"},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := open(t, t.TempDir(), joblog.Options{Window: 100, SyncEvery: time.Hour})
			take(t, log, k, 2)
			if err := log.Append(k, 2, out(0, "hello")); err != nil {
				t.Fatal(err)
			}
			if err := log.WaitDurable(t.Context(), k, 5); err != nil { // so that the window is what follows
				t.Fatal(err)
			}
			if test.err == joblog.ErrWindow {
				test.piece.Data = append(test.piece.Data, "xxxx"...)
			}
			if err := log.Append(k, test.epoch, test.piece); !errors.Is(err, test.err) {
				t.Errorf("got %v, want %v", err, test.err)
			}
			if got := readAll(t, log, k, 0, 3); got != test.want {
				t.Errorf("the log reads %q, want %q", got, test.want)
			}
		})
	}
}

func TestALogThatEnded(t *testing.T) {
	dir, k := t.TempDir(), numbered(1)
	log := open(t, dir, joblog.Options{})
	take(t, log, k, 1)
	if err := log.Append(k, 1, out(0, "bye")); err != nil {
		t.Fatal(err)
	}
	log.Finish(k, 3)
	check := func(when string) {
		t.Helper()
		if end, ok := log.Ended(k); !ok || end != 3 {
			t.Errorf("%s: ended at %d, %t", when, end, ok)
		}
		if err := log.Append(k, 1, out(3, "!")); !errors.Is(err, joblog.ErrEnded) {
			t.Errorf("%s: a byte after the end gets %v", when, err)
		}
		if have, err := log.Take(t.Context(), k, 9, nil); !errors.Is(err, joblog.ErrEnded) || have != 3 {
			t.Errorf("%s: taking it gets %d, %v", when, have, err)
		}
		if got := readAll(t, log, k, 0, 2); got != "bye" {
			t.Errorf("%s: it reads %q", when, got)
		}
	}
	check("at once")
	if err := log.WaitDurable(t.Context(), k, 3); err != nil {
		t.Fatal(err)
	}
	log.Finish(k, 3)
	check("once durable")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = open(t, dir, joblog.Options{})
	check("after a restart")
	if _, _, next := log.Wait(k); next != nil {
		t.Error("something may still change")
	}
	if open := log.Open(); len(open) != 0 {
		t.Errorf("still open: %v", open)
	}
}

func TestTakeWaitsForWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowDisk{delay: time.Second}
		log := open(t, dir, joblog.Options{Files: slow})
		k := numbered(1)
		take(t, log, k, 1)
		if err := log.Append(k, 1, out(0, "abc")); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if have := take(t, log, k, 2); have != 3 || time.Since(began) < time.Second {
			t.Errorf("the new session is told %d after %v", have, time.Since(began))
		}
		if err := log.Append(k, 1, out(3, "x")); !errors.Is(err, joblog.ErrFenced) {
			t.Errorf("the old session gets %v", err)
		}
		if _, err := log.Take(t.Context(), k, 1, nil); !errors.Is(err, joblog.ErrFenced) {
			t.Errorf("an older session takes it back: %v", err)
		}
		_ = log.Close()
	})
}

// slowDisk takes its time for each sync of a segment, and may be full or broken.
type slowDisk struct {
	wal.Disk
	delay time.Duration
	err   atomic.Pointer[error]
}

func (d *slowDisk) Segment(dir string) (wal.Segment, error) {
	s, err := d.Disk.Segment(dir)
	return slowSegment{s, d}, err
}

type slowSegment struct {
	wal.Segment
	disk *slowDisk
}

func (s slowSegment) Write(frame []byte) error {
	if err := s.disk.err.Load(); err != nil {
		return *err
	}
	return s.Segment.Write(frame)
}

func (s slowSegment) Sync() error {
	time.Sleep(s.disk.delay)
	return s.Segment.Sync()
}

func TestAppendNeverWaitsForADisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log := open(t, dir, joblog.Options{Files: &slowDisk{delay: time.Minute}, RingBytes: 1})
		k := numbered(1)
		take(t, log, k, 1)
		began := time.Now()
		for i := range 1000 {
			if err := log.Append(k, 1, out(uint64(i)*500, strings.Repeat("x", 500))); err != nil {
				t.Fatal(err)
			}
		}
		if got := readAll(t, log, k, 0, 64); len(got) != 500_000 {
			t.Errorf("a follower sees %d bytes", len(got))
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		_ = log.Close()
	})
}

func TestAFullDiskHoldsBackAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &slowDisk{}
		log := open(t, dir, joblog.Options{Files: disk, Window: 100})
		k := numbered(1)
		take(t, log, k, 1)
		full := error(syscall.ENOSPC)
		disk.err.Store(&full)
		if err := log.Append(k, 1, out(0, strings.Repeat("x", 100))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := log.Append(k, 1, out(100, "x")); !errors.Is(err, joblog.ErrWindow) {
			t.Errorf("beyond the window: %v", err)
		}
		disk.err.Store(nil)
		if err := log.WaitDurable(t.Context(), k, 100); err != nil {
			t.Error(err)
		}
		if err := log.Append(k, 1, out(100, "x")); err != nil {
			t.Error(err)
		}
		_ = log.Close()
	})
}

func TestABrokenDiskStopsTheLog(t *testing.T) {
	disk := &slowDisk{}
	log := open(t, t.TempDir(), joblog.Options{Files: disk})
	k := numbered(1)
	take(t, log, k, 1)
	broken := error(syscall.EIO)
	disk.err.Store(&broken)
	if err := log.Append(k, 1, out(0, "abc")); err != nil {
		t.Fatal(err)
	}
	<-log.Failed()
	if err := log.WaitDurable(t.Context(), k, 3); !errors.Is(err, syscall.EIO) {
		t.Errorf("who waits is told %v", err)
	}
	if err := log.Append(k, 1, out(3, "d")); !errors.Is(err, syscall.EIO) {
		t.Errorf("who appends is told %v", err)
	}
	if log.Durable(k) != 0 {
		t.Error("bytes that were not synced are called durable")
	}
}

func TestWaitForALogThatIsNotThereYet(t *testing.T) {
	log, k := open(t, t.TempDir(), joblog.Options{}), numbered(1)
	head, _, next := log.Wait(k)
	if head != 0 {
		t.Fatal(head)
	}
	take(t, log, k, 1)
	<-next
	_, _, next = log.Wait(k)
	if err := log.Append(k, 1, out(0, "x")); err != nil {
		t.Fatal(err)
	}
	<-next
}

// Many attempts, each with more than its ring may keep, read back whole from
// rings and journals, before and after a restart.
func TestManyInterleavedLogs(t *testing.T) {
	dir := t.TempDir()
	log := open(t, dir, joblog.Options{RingBytes: 1})
	const attempts, pieces, size = 40, 60, 4000
	text := func(a, i int) string {
		return strings.Repeat(fmt.Sprintf("<%d.%d>", a, i), size)[:size]
	}
	want := func(a int) string {
		var b bytes.Buffer
		for i := range pieces {
			b.WriteString(text(a, i))
		}
		return b.String()
	}
	for a := range attempts {
		take(t, log, numbered(a), 1)
	}
	for i := range pieces {
		for a := range attempts {
			if err := log.Append(numbered(a), 1, out(uint64(i*size), text(a, i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func() {
		t.Helper()
		for a := range attempts {
			if got := readAll(t, log, numbered(a), 0, 50_000); got != want(a) {
				t.Fatalf("attempt %d reads %d bytes that are not the %d written", a, len(got), pieces*size)
			}
			middle := uint64(a*1000 + 7)
			if got := readAll(t, log, numbered(a), middle, 1<<20); got != want(a)[middle:] {
				t.Fatalf("attempt %d is wrong from %d on", a, middle)
			}
		}
	}
	check()
	for a := range attempts {
		log.Finish(numbered(a), pieces*size)
	}
	check()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = open(t, dir, joblog.Options{})
	check()
}

func TestATinyReadOfAnIndexThatThinnedOut(t *testing.T) {
	dir := t.TempDir()
	log, k, other := open(t, dir, joblog.Options{RingBytes: 1, SyncEvery: time.Nanosecond}), numbered(1), numbered(2)
	take(t, log, k, 1)
	take(t, log, other, 1)
	const n = 5000 // frames: more than an index has spans
	for i := range uint64(n) {
		if err := log.Append(k, 1, out(i*20, fmt.Sprintf("%020d", i))); err != nil {
			t.Fatal(err)
		}
		if err := log.WaitDurable(t.Context(), k, (i+1)*20); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if err := log.Append(other, 1, out(i/3, "x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	log.Finish(k, n*20)
	for _, i := range []uint64{0, 1, 1234, 2500, n - 1} {
		pieces, _, err := log.Read(t.Context(), k, i*20, 20)
		if err != nil || len(pieces) != 1 || string(pieces[0].Data) != fmt.Sprintf("%020d", i) {
			t.Errorf("piece %d reads %v, %v", i, pieces, err)
		}
	}
	if got := readAll(t, log, k, 0, 1<<20); len(got) != n*20 {
		t.Errorf("%d bytes, want %d", len(got), n*20)
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	log, k := open(t, t.TempDir(), joblog.Options{}), numbered(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := log.WaitDurable(ctx, k, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
