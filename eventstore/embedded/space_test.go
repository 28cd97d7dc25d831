package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore"
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
