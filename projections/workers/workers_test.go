package workers_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/canonical"
	"github.com/hodei-jobs/hodei/projections/workers"
)

func TestTerminatedWorkersBeyondTheKeptNumberGo(t *testing.T) {
	ws := workers.New()
	ws.Set(&workers.Worker{ID: 1, Status: worker.Lost, Last: 1})
	for i := range workers.KeptTerminated + 5 {
		ws.Set(&workers.Worker{ID: id.ID(100 + i), Status: worker.Terminated, Last: eventstore.Position(2 + i)})
	}
	if ws.Len() != workers.KeptTerminated+1 {
		t.Errorf("%d workers are left, want %d and the one that has not ended", ws.Len(), workers.KeptTerminated)
	}
	if _, ok := ws.Get(104); ok {
		t.Error("one that ended first is left")
	}
	if _, ok := ws.Get(1); !ok {
		t.Error("one that has not ended is gone")
	}
}

// Those that are to register by some time are found by it, also after a World was
// read from a snapshot, and not any more once they have or have ended.
func TestLaunches(t *testing.T) {
	ws := workers.New()
	set := func(i id.ID, by int64, s worker.Status, frozen bool) {
		ws.Set(&workers.Worker{ID: i, Status: s, LaunchBy: by, Frozen: frozen})
	}
	set(1, 30, worker.Requested, false)
	set(2, 20, worker.Requested, false)
	set(2, 20, worker.Launched, false)
	set(3, 10, worker.Requested, false)
	set(3, 0, worker.Disconnected, false) // has registered
	set(4, 20, worker.Launched, false)
	set(5, 0, worker.Requested, false) // without a limit
	set(6, 5, worker.Requested, false)
	set(6, 5, worker.Terminated, false)
	set(7, 5, worker.Requested, false)
	set(7, 5, worker.Requested, true)
	before := ws.Fork()
	set(2, 20, worker.Terminated, false)
	check := func(what string, ws *workers.Workers, want ...id.ID) {
		t.Helper()
		var got []id.ID
		for w := range ws.Launches() {
			got = append(got, w.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v are to register, want %v", what, got, want)
		}
	}
	check("now", ws, 4, 1)
	check("before", before, 2, 4, 1)
	var form bytes.Buffer
	w := canonical.NewWriter(&form, "TEST")
	before.Encode(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := canonical.NewReader(form.Bytes(), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	check("read again", workers.Decode(r), 2, 4, 1)
}
