package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/durable/durabletest"
)

// Snapshots are saved over each other, in one process after the other, and what
// fails in a sync is tried again. The newest one that was saved must be there,
// whole, or the one that was being saved, and none that is damaged.
var power = durabletest.Power{Tries: 4, Run: runVolatile, Check: func(v *durabletest.Volatile, dir string) error {
	st, err := Open(filepath.Join(dir, "data", "snapshots"))
	if err != nil {
		return err
	}
	s, ok, skipped, err := st.Load(context.Background(), "world", "1", 0, nil)
	if err := errors.Join(err, errors.Join(skipped...)); err != nil {
		return err
	}
	saved := eventstore.Position(v.Known)
	if ok != (s.Position > 0) || s.Position < saved || s.Position > saved+1 {
		return fmt.Errorf("#%d was saved, #%d is there", saved, s.Position)
	}
	return nil
}}

func runVolatile(v *durabletest.Volatile) error {
	for v.Known < 4 {
		if err := once(v); err != nil && !errors.Is(err, durabletest.ErrSync) {
			return err
		}
	}
	return nil
}

func once(v *durabletest.Volatile) error {
	st, err := open(filepath.Join(v.Root, "data", "snapshots"), v)
	if err != nil {
		return err
	}
	for range 2 {
		if err := st.Save(context.Background(), example(eventstore.Position(v.Known+1)), 1); err != nil {
			return err
		}
		v.Known++
	}
	return nil
}

func TestThePowerIsCutAtEachStep(t *testing.T) { power.AtEachStep(t) }

func TestThePowerIsCutAfterAFailedSync(t *testing.T) { power.AfterAFailedSync(t, 1) }

func TestEachSyncIsNeeded(t *testing.T) { power.EachSyncIsNeeded(t, 3) }
