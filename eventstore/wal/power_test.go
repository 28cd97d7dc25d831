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

// Whatever of what was not synced is there, the log must open with all that was
// known.
var power = durabletest.Power{Tries: 3, Run: runVolatile, Check: func(v *durabletest.Volatile, dir string) error {
	n, _, err := wal.Reopen(filepath.Join(dir, "data", "log"))
	if err == nil && (n < v.Known || n > v.Known+1) {
		err = fmt.Errorf("%d frames known, %d found", v.Known, n)
	}
	return err
}}

func TestThePowerIsCutAtEachStep(t *testing.T) { power.AtEachStep(t) }

func TestThePowerIsCutAfterAFailedSync(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 3
	}
	power.AfterAFailedSync(t, stride)
}

func TestEachSyncIsNeeded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	power.EachSyncIsNeeded(t, 8)
}
