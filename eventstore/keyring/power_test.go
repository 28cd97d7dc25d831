package keyring

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore/durable/durabletest"
)

// places are where the tests of this file have a keyring and its key.
func places(root string) (ring, key string) {
	return filepath.Join(root, "server", "rings", "data.keyring"), filepath.Join(root, "operator", "keys", "data.key")
}

// kill lets a keyring go as the end of its process would.
func kill(f *File) {
	if f.file != nil {
		_ = f.file.Close()
	}
	_ = f.lock.Close()
}

// runVolatile opens a keyring again and again, makes keys and rotates the wrapping
// key. It is left in order, or as by a kill, as it is when a sync fails. Known is
// how many keys were acknowledged, or read.
func runVolatile(v *durabletest.Volatile) error {
	for round := 0; round < 3; {
		err := once(v, round)
		if err != nil && !errors.Is(err, durabletest.ErrSync) {
			return err
		}
		if err == nil {
			round++
		}
	}
	return nil
}

func once(v *durabletest.Volatile, round int) error {
	ring, key := places(v.Root)
	f, err := openOn(v, ring, key)
	if err != nil {
		return err
	}
	defer kill(f)
	ctx := context.Background()
	names, err := f.DataKeyNames(ctx, "")
	if err != nil {
		return err
	}
	v.Known = uint64(len(names))
	for i := range 2 {
		if _, err := f.CreateDataKeys(ctx, fmt.Sprintf("%d", v.Known)); err != nil {
			return err
		}
		v.Known++
		if i == 0 && round%2 == 0 {
			if err := f.Rotate(ctx); err != nil {
				return err
			}
		}
	}
	if round == 0 {
		return f.Close()
	}
	return nil
}

// The keyring must open with its key and have all keys that were known.
var power = durabletest.Power{Tries: 3, Run: runVolatile, Check: func(v *durabletest.Volatile, dir string) error {
	ring, key := places(dir)
	f, err := openOn(new(durabletest.Faulty), ring, key)
	if err != nil {
		return err
	}
	defer kill(f)
	names, err := f.DataKeyNames(context.Background(), "")
	if n := uint64(len(names)); err == nil && (n < v.Known || n > v.Known+1) {
		err = fmt.Errorf("%d keys known, %d found", v.Known, n)
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
	power.EachSyncIsNeeded(t, 10)
}
