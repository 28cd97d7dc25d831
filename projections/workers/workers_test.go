package workers_test

import (
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
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
