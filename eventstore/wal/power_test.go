package wal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/eventstore/wal/waltest"
)

// runVolatile opens a log twice and appends, rolls, removes and closes, until the
// power is cut. It returns how many frames were acknowledged.
func runVolatile(v *waltest.Volatile) (acked uint64, err error) {
	opts := wal.Small
	opts.Files = v
	for range 2 {
		l, _, err := wal.Open(v.Root, opts)
		if err != nil {
			return acked, err
		}
		for range 9 {
			if err = wal.AppendFrames(l, 1); err != nil {
				break
			}
			acked++
		}
		if err == nil {
			err = removeOldest(l)
		}
		if err = errors.Join(err, l.Close(nil)); err != nil {
			return acked, err
		}
	}
	return acked, nil
}

// The power is cut at each step. Whatever of what was not synced is there, none
// or some of it, the log opens with all that was acknowledged.
func TestThePowerIsCutAtEachStep(t *testing.T) {
	for at := 1; ; at++ {
		v := &waltest.Volatile{Root: filepath.Join(t.TempDir(), "log"), At: at}
		acked, err := runVolatile(v)
		if err != nil && !errors.Is(err, waltest.ErrPower) {
			t.Fatalf("step %d: %v", at, err)
		}
		for try := range uint64(4) {
			random := rand.New(rand.NewPCG(uint64(at), try))
			after := filepath.Join(t.TempDir(), "after")
			if err := v.After(after, func(string) bool { return try > 0 && random.IntN(2) == 0 }); err != nil {
				t.Fatal(err)
			}
			if n, _, err := wal.Reopen(after); err != nil || n < acked || n > acked+1 {
				t.Errorf("%s: %d frames acknowledged, %d found, %v", fmt.Sprintf("step %d, try %d", at, try), acked, n, err)
			}
		}
		if err == nil {
			t.Logf("%d steps", v.Steps)
			return
		}
	}
}
