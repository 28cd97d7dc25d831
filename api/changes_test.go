package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
)

// until reads messages until one satisfies ok, and returns all of that name.
func until[T any](t *testing.T, r *sse.Reader, name string, ok func(T) bool) (seen []T, last sse.Event) {
	t.Helper()
	for {
		e := next(t, r, name)
		v := decode[T](t, e.Data)
		if seen = append(seen, v); ok(v) {
			return seen, e
		}
	}
}

func TestChangesShowEachThingAsItIs(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	s.worker("atlas")
	r := s.events("/v1/changes?every=50ms", plain)
	head := s.runner.World().Position
	if reset := decode[wire.Reset](t, next(t, r, "reset").Data); reset.Position < uint64(head) {
		t.Errorf("it begins at #%d, the World was at #%d", reset.Position, head)
	}
	one := s.submit(s.admin(), `{"command":"x","name":"one"}`)
	pending, _ := until(t, r, "job", func(j wire.Job) bool { return j.ID == one.ID })
	if len(pending) != 1 || pending[0].State != "pending" || pending[0].Reason == "" {
		t.Errorf("a job that waits is sent as %s", mustJSON(t, pending))
	}
	s.run(one.ID, 1, "hello", succeeded())
	seen, _ := until(t, r, "job", func(j wire.Job) bool { return j.State == "succeeded" })
	_, _, body := s.request("GET", "/v1/jobs?limit=1", plain, "")
	if got, want := mustJSON(t, seen[len(seen)-1]), mustJSON(t, decode[wire.Jobs](t, body).Items[0]); string(got) != string(want) {
		t.Errorf("it is sent as\n%s\nand listed as\n%s", got, want)
	}
	until(t, r, "counts", func(c wire.Counts) bool { return c.Ended == 1 && c.Waiting+c.Running == 0 })
	two := s.submit(s.admin(), `{"command":"x","requires":{"gpu":"a100"}}`)
	until(t, r, "queue", func(q wire.Queue) bool { return q.Waiting == 1 })
	if _, err := s.commands.CancelJob(t.Context(), tester, parseID(t, two.ID), ""); err != nil {
		t.Fatal(err)
	}
	until(t, r, "queue", func(q wire.Queue) bool { return q.Waiting == 0 })
}

func TestChangesOfAWorker(t *testing.T) {
	s := newSite(t)
	r := s.events("/v1/changes?kinds=worker", s.token("web", token.Viewer))
	next(t, r, "reset")
	atlas := s.worker("atlas")
	until(t, r, "worker", func(w wire.Worker) bool { return w.ID == atlas && w.State == "online" })
	one := s.submit(s.admin(), `{"command":"x","resources":{"cpu":"1"}}`)
	binding := commands.Binding{Job: parseID(t, one.ID), Attempt: 1, Worker: parseID(t, atlas)}
	if _, errs := s.commands.BindJobs(t.Context(), tester, []commands.Binding{binding}); errs[0] != nil {
		t.Fatal(errs)
	}
	until(t, r, "worker", func(w wire.Worker) bool { return w.Jobs == 1 && w.Reserved.CPU == 1 })
	requeue := job.Requeue{Attempt: 1, Cause: job.CauseWorkerLost}
	if _, errs := s.commands.RequeueJobs(t.Context(), tester, []commands.Requeue{{Job: binding.Job, Requeue: requeue}}); errs[0] != nil {
		t.Fatal(errs)
	}
	until(t, r, "worker", func(w wire.Worker) bool { return w.Jobs == 0 && w.Reserved.CPU == 0 })
}

// A client that comes back is sent what changed meanwhile and nothing else; one
// that missed too much, or in one look, reads anew.
func TestChangesGoOnWhereTheyWere(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	r := s.events("/v1/changes?kinds=job", plain)
	next(t, r, "reset")
	before := s.submit(s.admin(), `{"command":"x"}`)
	_, last := until(t, r, "job", func(j wire.Job) bool { return j.ID == before.ID })
	during := s.submit(s.admin(), `{"command":"x"}`)
	r = s.events("/v1/changes?kinds=job", plain, "Last-Event-ID", last.ID)
	e, err := r.Next()
	if err != nil || e.Name != "job" || decode[wire.Job](t, e.Data).ID != during.ID {
		t.Errorf("a client that comes back is first sent %+v, %v", e, err)
	}
	specs := `{"jobs":[` + strings.TrimSuffix(strings.Repeat(`{"command":"x"},`, changesAtOnce+1), ",") + `]}`
	if status, _, body := s.request("POST", "/v1/jobs:batch", s.token("default", token.Admin), specs); status >= 300 {
		t.Fatalf("%d: %s", status, body)
	}
	r = s.events("/v1/changes?kinds=job", plain, "Last-Event-ID", last.ID)
	if e, err := r.Next(); err != nil || e.Name != "reset" {
		t.Errorf("a client that missed %d jobs is sent %s, %v", changesAtOnce+2, e.Name, err)
	}
}

// What belongs to another namespace is no business of the token's, or was not
// asked for.
func TestChangesOfOneNamespace(t *testing.T) {
	s := newSite(t)
	all := s.token(token.AllNamespaces, token.Viewer)
	for _, r := range []*sse.Reader{s.events("/v1/changes?kinds=job,counts,queue", s.token("web", token.Viewer)), s.events("/v1/changes?kinds=job,counts,queue&namespace=web", all)} {
		next(t, r, "reset")
		s.submit(s.admin(), `{"command":"x"}`)
		mine := s.submit(s.admin(), `{"command":"x","namespace":"web"}`)
		for {
			e, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if e.Name == "job" && decode[wire.Job](t, e.Data).Namespace != "web" {
				t.Fatalf("a job of another namespace is sent: %s", e.Data)
			}
			if e.Name == "queue" {
				if q := decode[wire.Queue](t, e.Data); slices.ContainsFunc(q.Items, func(c wire.Class) bool { return c.Namespace != "web" }) {
					t.Fatalf("a queue of another namespace is sent: %s", e.Data)
				} else if q.Waiting > 0 {
					break
				}
			}
		}
		if _, err := s.commands.CancelJob(t.Context(), tester, parseID(t, mine.ID), ""); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChangesThatCannotBe(t *testing.T) {
	s := newSite(t)
	plain := s.token("web", token.Viewer)
	for query, want := range map[string]int{
		"kinds=job,pony": http.StatusUnprocessableEntity, "every=1ms": http.StatusUnprocessableEntity, "every=often": http.StatusUnprocessableEntity, "every=1h": http.StatusUnprocessableEntity,
		"namespace=default": http.StatusForbidden,
	} {
		if status, _, body := s.request("GET", "/v1/changes?"+query, plain, ""); status != want {
			t.Errorf("%s: %d, want %d: %s", query, status, want, body)
		}
	}
	if status, _, body := s.request("GET", "/v1/changes", plain, "", "Last-Event-ID", "99999999"); status != http.StatusUnprocessableEntity {
		t.Errorf("%d: %s", status, body)
	}
}
