package joblog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// TestTheWindowBoundsPiecesToo: each counts PieceCost, however small it is.
func TestTheWindowBoundsPiecesToo(t *testing.T) {
	const pieces = 5
	log, k := open(t, t.TempDir(), joblog.Options{Window: pieces * joblog.PieceCost, SyncEvery: time.Hour}), numbered(1)
	take(t, log, k, 1)
	for i := range pieces + 1 { // the first is synced at once, the others wait
		if err := log.Append(k, 1, out(uint64(i), "x")); err != nil {
			t.Fatalf("piece %d: %v", i, err)
		}
		if i == 0 {
			if err := log.WaitDurable(t.Context(), k, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := log.Append(k, 1, out(pieces+1, "x")); !errors.Is(err, joblog.ErrWindow) {
		t.Errorf("one more gets %v", err)
	}
}
