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

// cut saves snapshots over each other, in one process after the other, with the
// power cut before each step. The newest one that was saved must be there, whole,
// or the one that was being saved, and none that is damaged.
func cut(t *testing.T, forget string) (*durabletest.Volatile, error) {
	ctx := context.Background()
	v := &durabletest.Volatile{Forget: forget}
	run := func(v *durabletest.Volatile) error {
		for range 2 {
			st, err := open(filepath.Join(v.Root, "data", "snapshots"), v)
			if err != nil {
				return err
			}
			for range 2 {
				if err := st.Save(ctx, example(eventstore.Position(v.Known+1)), 1); err != nil {
					return err
				}
				v.Known++
			}
		}
		return nil
	}
	check := func(dir string) error {
		st, err := Open(filepath.Join(dir, "data", "snapshots"))
		if err != nil {
			return err
		}
		s, ok, skipped, err := st.Load(ctx, "world", "1", 0, nil)
		if err := errors.Join(err, errors.Join(skipped...)); err != nil {
			return err
		}
		saved := eventstore.Position(v.Known)
		if ok != (s.Position > 0) || s.Position < saved || s.Position > saved+1 {
			return fmt.Errorf("#%d was saved, #%d is there", saved, s.Position)
		}
		return nil
	}
	return v, durabletest.Cut(t, v, 4, run, check)
}

func TestThePowerIsCutAtEachStep(t *testing.T) {
	if _, err := cut(t, ""); err != nil {
		t.Error(err)
	}
}

// The control: without any one of the syncs the test above fails.
func TestEachSyncIsNeeded(t *testing.T) {
	whole, _ := cut(t, "")
	for site := range whole.Sites {
		if _, err := cut(t, site); err == nil {
			t.Errorf("nothing is lost without the sync of the %s", site)
		}
	}
	if len(whole.Sites) < 3 { // the file, its folder, and the folder's own name
		t.Errorf("there are only %d kinds of syncs: %v", len(whole.Sites), whole.Sites)
	}
}
