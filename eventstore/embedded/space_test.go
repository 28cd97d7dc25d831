package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// smallDisk mounts a disk of some bytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("only root may mount a small disk: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A disk fills up under the store: ordinary appends are refused, essential ones
// are still taken, reads go on; when there is room again so do appends.
func TestAFullDisk(t *testing.T) {
	disk := smallDisk(t, "4m")
	now := time.Now()
	cfg := config(filepath.Join(disk, "store"))
	cfg.ReserveBytes = 1 << 20
	cfg.Essential = []string{"Finished"}
	cfg.JournalBytes = 64 << 10
	cfg.Clock = func() time.Time { return now }
	s, _ := openStore(t, cfg)
	hog := filepath.Join(disk, "hog")
	if err := os.WriteFile(hog, make([]byte, 2<<20), fileMode); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 8<<10)
	var ids eventstore.EventIDs
	add := func(typ string) error {
		now = now.Add(time.Millisecond)
		_, err := s.Append(t.Context(), eventstore.Batch{
			Stream: "job", Expect: eventstore.Any,
			Events: []eventstore.Event{{ID: ids.New(now), Type: typ, Data: data}},
		})
		return err
	}
	written := 0
	var refused *eventstore.ReadOnlyError
	for {
		err := add("Submitted")
		if errors.As(err, &refused) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		written++
	}
	if !strings.Contains(refused.Reason, "is full: it has") || s.Progress() == nil {
		t.Errorf("refused with %v, progress %v", refused, s.Progress())
	}
	for range 20 {
		if err := add("Finished"); err != nil {
			t.Fatalf("an essential append on a full disk: %v", err)
		}
		written++
	}
	if err := add("Submitted"); !errors.As(err, &refused) {
		t.Errorf("an ordinary append on a full disk: %v", err)
	}
	if n := len(all(t, s)); n != written {
		t.Errorf("%d records can be read on a full disk, expected %d", n, written)
	}
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * spaceCheck)
	if err := add("Submitted"); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	if info, err := os.Stat(s.space.path()); err != nil || info.Size() != cfg.ReserveBytes {
		t.Errorf("the reserve was not made again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, report := openStore(t, cfg)
	if n := len(all(t, again)); n != written+1 || report.Cut > 0 {
		t.Errorf("opened again: %d records, expected %d; %+v", n, written+1, report)
	}
}

// On a full disk nothing but essential appends takes what the reserve held: a job
// that prints is held back, no snapshot is made, and the index is not written.
func TestTheReserveIsForWhatIsEssential(t *testing.T) {
	disk := smallDisk(t, "8m")
	cfg := config(filepath.Join(disk, "store"))
	cfg.ReserveBytes, cfg.Essential = 1<<20, []string{"Finished"}
	s, _ := openStore(t, cfg)
	logs, err := joblog.Open(filepath.Join(disk, "logs"), joblog.Options{Logger: cfg.Logger, Files: wal.Sparing{Files: wal.Disk{}, Low: s.SpaceIsLow}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = logs.Close() }() // what it holds back can't be written
	printed := prints(t, logs)
	var ids eventstore.EventIDs
	add := func(typ string) error {
		_, err := s.Append(t.Context(), eventstore.Batch{Stream: "job", Expect: eventstore.Any,
			Events: []eventstore.Event{{ID: ids.New(s.Now()), Type: typ, Data: make([]byte, 8<<10)}}})
		return err
	}
	var refused *eventstore.ReadOnlyError
	for !errors.As(err, &refused) {
		if err = add("Submitted"); err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
	}
	for range 3 { // so often the job log tries again
		wait := time.NewTimer(fullRetries)
		<-wait.C
		for range 20 {
			if err := add("Finished"); err != nil {
				t.Fatalf("an essential append while a job prints: %v", err)
			}
		}
	}
	head, _ := s.Wait()
	if err := s.SaveSnapshot(t.Context(), eventstore.Snapshot{Name: "world", Version: "1", Position: head, Data: []byte("x")}, 1); !errors.As(err, &refused) {
		t.Errorf("a snapshot on a full disk: %v", err)
	}
	if err := s.index.write(1); !wal.NoRoom(err) {
		t.Errorf("the index is written on a full disk: %v", err)
	}
	printed()
}

// fullRetries is a little more than a job log on a full disk waits between tries.
const fullRetries = 1200 * time.Millisecond

// prints lets a job print as much as is taken, until the function it returns is called.
func prints(t *testing.T, logs *joblog.Log) (stop func()) {
	t.Helper()
	key := joblog.Key{Job: 1, Attempt: 1}
	if _, err := logs.Take(t.Context(), key, 1, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		data := make([]byte, 64<<10)
		for at := uint64(0); ctx.Err() == nil; {
			err := logs.Append(key, 1, joblog.Piece{Tag: 1, Offset: at, Time: 1, Data: data})
			if err == nil {
				at += uint64(len(data))
			} else if logs.WaitDurable(ctx, key, at) != nil {
				return
			}
		}
	}()
	return func() { cancel(); <-stopped }
}
