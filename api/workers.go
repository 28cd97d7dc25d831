package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/workers"
)

type workersInput struct{ PageInput }

type workersOutput struct{ Body wire.Workers }

type workerInput struct {
	ID string `path:"id" maxLength:"128" doc:"The worker's id, or its name" example:"atlas"`
}

type workerOutput struct{ Body *wire.Worker }

func (s *server) workers(api huma.API) {
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "listWorkers", Method: http.MethodGet, Path: "/v1/workers", Tags: []string{"workers"},
		Summary: "List workers", Errors: []int{http.StatusUnprocessableEntity},
	}), s.listWorkers)
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "getWorker", Method: http.MethodGet, Path: "/v1/workers/{id}", Tags: []string{"workers"},
		Summary: "Read one worker, by id or name", Errors: []int{http.StatusNotFound},
	}), s.getWorker)
}

func (s *server) listWorkers(_ context.Context, in *workersInput) (*workersOutput, error) {
	var after id.ID
	if in.Cursor != "" && in.Cursor != "0" {
		var err error
		if after, err = id.ParseWorker(in.Cursor); err != nil {
			return nil, invalid("query.cursor", "it is not the next of a page", in.Cursor)
		}
	}
	w := s.Runner.World()
	out := &workersOutput{Body: wire.Workers{Items: []wire.Worker{}}}
	for row := range w.Workers.All() {
		if row.ID <= after {
			continue
		}
		if len(out.Body.Items) == in.Limit {
			out.Body.Next = out.Body.Items[in.Limit-1].ID
			break
		}
		out.Body.Items = append(out.Body.Items, *s.workerView(w, row))
	}
	return out, nil
}

func (s *server) getWorker(_ context.Context, in *workerInput) (*workerOutput, error) {
	w := s.Runner.World()
	row, err := findWorker(w, in.ID)
	if err != nil {
		return nil, err
	}
	return &workerOutput{s.workerView(w, row)}, nil
}

// findWorker returns the worker with an id or a name.
func findWorker(w *projections.World, text string) (*workers.Worker, error) {
	if i, err := id.ParseWorker(text); err == nil {
		if row, ok := w.Workers.Get(i); ok {
			return row, nil
		}
	}
	var named *workers.Worker
	for row := range w.Workers.All() {
		if row.Name == text && (named == nil || preferred(row, named)) {
			named = row
		}
	}
	if named == nil {
		return nil, missing("path.id", "worker", text, "the workers there are: hodei worker list")
	}
	return named, nil
}

// preferred says whether a is rather meant by a name than b: one that lives goes
// before one that had the name once, then the newer.
func preferred(a, b *workers.Worker) bool {
	if lives := a.Status != worker.Terminated; lives != (b.Status != worker.Terminated) {
		return lives
	}
	return a.Since > b.Since
}

func (s *server) workerView(w *projections.World, row *workers.Worker) *wire.Worker {
	v := &wire.Worker{
		ID: row.ID.String(), Name: row.Name, State: workerState(row.Status), Cordoned: row.Cordoned, Draining: row.Draining,
		Since: instant(row.Since), OS: row.OS, Arch: row.Arch, Version: row.Version, Provider: row.Provider, Pool: row.Pool,
		Labels: row.Labels.Map(), Capacity: amount(row.Capacity), DrainUntil: instantOrNone(row.Deadline),
	}
	if node, ok := w.Cluster.Node(row.ID); ok {
		v.Reserved, v.Jobs = amount(node.Reserved), node.Attempts
	}
	if at, ok := s.Telemetry.LastHeard(row.ID); ok {
		v.LastHeard = instantOrNone(at)
	}
	if r, ok := s.Telemetry.Latest(row.ID); ok && row.Status == worker.Connected {
		v.Used = &wire.Amount{CPU: float64(r.CPU.N) / 1000, Memory: r.Memory.N}
	}
	return v
}

// workerState is a status in the words of people: connected is online.
func workerState(st worker.Status) string {
	if st == worker.Connected {
		return "online"
	}
	return st.String()
}

func amount(a resource.Amount) wire.Amount {
	return wire.Amount{CPU: float64(a.CPU) / 1000, Memory: uint64(a.Memory), Disk: uint64(a.Disk)}
}
