package wal_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore/durable/durabletest"
	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/eventstore/wal/waltest"
)

// runVolatile opens a log again and again and appends, rolls and removes. The first time it
// is left as by a kill. So it is when a sync fails, however often. Known is how
// many frames were acknowledged, or read, which is as good.
func runVolatile(v *durabletest.Volatile) error {
	for round := 0; round < 3; {
		err := once(v, round == 0)
		if err != nil && !errors.Is(err, durabletest.ErrSync) {
			return err
		}
		if err == nil {
			round++
		}
	}
	return nil
}

func once(v *durabletest.Volatile, kill bool) error {
	opts := wal.Small
	opts.Files = waltest.On(v)
	l, _, err := wal.Open(filepath.Join(v.Root, "data", "log"), opts)
	if err != nil {
		return err
	}
	if v.Known, err = wal.Verify(l); err != nil {
		return errors.Join(err, l.Abandon())
	}
	for range 5 {
		if err := wal.AppendFrames(l, 1); err != nil {
			return errors.Join(err, l.Abandon())
		}
		v.Known++
	}
	if err := removeOldest(l); err != nil || kill {
		return errors.Join(err, l.Abandon())
	}
	return l.Close(nil)
}

// cut cuts the power before each step. Whatever of what was not synced is there,
// the log must open with all that was known.
func cut(t *testing.T, forget string, failSync int) (*durabletest.Volatile, error) {
	v := &durabletest.Volatile{Forget: forget, FailSync: failSync}
	return v, durabletest.Cut(t, v, 3, runVolatile, func(dir string) error {
		n, _, err := wal.Reopen(filepath.Join(dir, "data", "log"))
		if err == nil && (n < v.Known || n > v.Known+1) {
			err = fmt.Errorf("%d frames known, %d found", v.Known, n)
		}
		return err
	})
}

func TestThePowerIsCutAtEachStep(t *testing.T) {
	if _, err := cut(t, "", 0); err != nil {
		t.Error(err)
	}
}

// A sync fails, or a kill comes just before it; the next process believes what it
// reads; and only then the power is cut.
func TestThePowerIsCutAfterAFailedSync(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 3
	}
	for n := 1; ; n += stride {
		disk, err := cut(t, "", n)
		if err != nil {
			t.Errorf("sync %d failed: %v", n, err)
		}
		if n >= disk.Syncs {
			return
		}
	}
}

// The control: without any one of the syncs the tests above fail.
func TestEachSyncIsNeeded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	whole, _ := cut(t, "", 0)
	for site := range whole.Sites {
		missed := false
		for n := 0; n <= whole.Syncs && !missed; n++ {
			_, err := cut(t, site, n)
			missed = err != nil
		}
		if !missed {
			t.Errorf("nothing is lost without the sync of the %s", site)
		}
	}
}
