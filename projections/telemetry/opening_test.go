package telemetry

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// A server is killed again and again, before what it was told is on disk, or after
// that: what placement saw under an offset is never something else later, and what
// is read back under one is what placement saw.
func TestNoOffsetIsUsedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "0")
		shown := make(map[uint64]uint64) // CPU by offset
		var last uint64
		for n := range 6 {
			table, err := Open(dir, Options{Position: func() eventstore.Position { return eventstore.Position(n) }})
			if err != nil {
				t.Fatal(err)
			}
			for r, err := range table.Read(t.Context(), 0, 100) {
				if err != nil || shown[r.Offset] != r.CPU.N {
					t.Errorf("opening %d: offset %d is %d, placement was shown %d, %v", n, r.Offset, r.CPU.N, shown[r.Offset], err)
				}
			}
			stop := running(t, table)
			synctest.Wait()
			for i := range 3 {
				cpu := uint64(100*n+i+1) * CPUStep
				table.Report(1, 1, uses(cpu, 0))
				if at := table.View().Offset; shown[at] != 0 || at <= last {
					t.Errorf("opening %d: offset %d was %d and is %d; the one before was %d", n, at, shown[at], cpu, last)
				} else {
					shown[at], last = cpu, at
				}
			}
			if n%3 == 2 {
				<-time.After(2 * flushEvery) // of the bubble's clock
			}
			synctest.Wait()
			next := filepath.Join(t.TempDir(), fmt.Sprint(n+1)) // what a kill would leave
			if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			stop()
			dir = next
		}
	})
}

// The highest position is known also when the newest journal has no sample yet.
func TestTheHighestPositionIsKeptWhenNothingIsReported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "telemetry")
	for n := range 3 {
		table, err := Open(dir, Options{Position: func() eventstore.Position { return 9 }})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			table.Report(1, 1, uses(10, 0))
		} else if table.Highest() != 9 {
			t.Errorf("opening %d: the highest position is #%d", n, table.Highest())
		}
		if n == 1 {
			table.journal.begin(frameBegins)
			if err := table.journal.roll(); err != nil {
				t.Fatal(err)
			}
		}
		running(t, table)()
	}
}

// full is a disk that is full as long as low says so.
type full struct{ low bool }

func (f *full) files() wal.Files {
	return wal.Sparing{Files: wal.Disk{}, Low: func() bool { return f.low }}
}

// On a full disk placement sees what is reported, under no offset; once there is
// room, under one that is on disk.
func TestAFullDiskGivesNoOffsets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &full{low: true}
		table, err := Open(filepath.Join(t.TempDir(), "telemetry"), Options{Files: disk.files()})
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, table)
		synctest.Wait()
		report := func(cpu uint64) {
			table.Report(1, 1, uses(cpu, 0))
			<-time.After(2 * flushEvery)
			synctest.Wait()
		}
		report(10)
		if v := table.View(); v.Offset != 0 || v.Used(1).CPU != 10 {
			t.Errorf("on a full disk the offset is %d, placement is shown %v", v.Offset, v.Used(1))
		}
		disk.low = false
		report(20)
		report(30)
		if v := table.View(); v.Offset != 3 || v.Used(1).CPU != 30 {
			t.Errorf("with room the offset is %d, placement is shown %v", v.Offset, v.Used(1))
		}
		stop()
	})
}
