package api

import (
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// open says whether the scheduler gives jobs to a worker.
func (s *site) open(worker string) bool {
	s.t.Helper()
	n, ok := s.runner.World().Cluster.Node(parseID(s.t, worker))
	if !ok {
		s.t.Fatalf("the scheduler sees no worker %s", worker)
	}
	return n.Facts.Open()
}

func TestAWorkerIsCordonedAndDrained(t *testing.T) {
	s := newSite(t)
	w := s.worker("atlas")
	plain := s.token(token.AllNamespaces, token.Operator)
	change := func(what, body string) (int, wire.Worker) {
		status, _, answer := s.request("POST", "/v1/workers/atlas/"+what, plain, body)
		return status, decode[wire.Worker](t, answer)
	}
	if status, v := change("cordon", `{"reason":"a new kernel"}`); status != 200 || !v.Cordoned || v.ID != w || s.open(w) {
		t.Errorf("cordoned: %d %+v", status, v)
	}
	if status, v := change("cordon", ``); status != 200 || !v.Cordoned {
		t.Errorf("again: %d %+v", status, v)
	}
	if status, v := change("uncordon", ``); status != 200 || v.Cordoned || !s.open(w) {
		t.Errorf("uncordoned: %d %+v", status, v)
	}
	before := time.Now()
	status, v := change("drain", `{"deadline":"30m"}`)
	if status != 200 || !v.Draining || v.DrainUntil == nil || v.DrainUntil.Before(before.Add(29*time.Minute)) || s.open(w) {
		t.Errorf("drained: %d %+v", status, v)
	}
	if status, _ := change("uncordon", `{}`); status != 409 {
		t.Errorf("one that drains is uncordoned: %d", status)
	}
	for body, want := range map[string]int{`{"deadline":"soon"}`: 422, `{"deadline":"0s"}`: 422, `{"deadline":"91d"}`: 422, `{"until":"x"}`: 422, `{"deadline":"10m"}`: 200} {
		if status, v := change("drain", body); status != want {
			t.Errorf("%s: %d %+v", body, status, v)
		}
	}
	if status, _, _ := s.request("POST", "/v1/workers/nothing/drain", plain, `{}`); status != 404 {
		t.Errorf("one that is not there: %d", status)
	}
}
