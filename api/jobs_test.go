package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

func TestASubmittedJobIsReadBack(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Submitter)
	status, kind, body := s.request("POST", "/v1/jobs", plain, `{"name":"build","argv":["make","test"],"labels":{"team":"web"},"priority":3}`)
	j := decode[wire.Job](t, body)
	if status != 201 || kind != jsonType || j.State != "pending" || j.Name != "build" || j.Namespace != "default" || j.Attempt != 0 || j.Position == 0 {
		t.Fatalf("%d %s: %s", status, kind, body)
	}
	if j.Reason != "no_worker" || j.Summary == "" || j.Explanation == "" || j.Help == "" {
		t.Errorf("why it waits: %s", body)
	}
	_, _, body = s.request("GET", "/v1/jobs/"+j.ID, plain, "")
	again := decode[wire.Job](t, body)
	var spec struct {
		Argv      []string
		Namespace string
	}
	if err := json.Unmarshal(again.Spec, &spec); err != nil || !slices.Equal(spec.Argv, []string{"make", "test"}) || spec.Namespace != "default" {
		t.Errorf("its spec is %s, %v", again.Spec, err)
	}
	again.Spec = nil
	if string(mustJSON(t, again)) != string(mustJSON(t, j)) {
		t.Errorf("it is read as %s, it was answered with %s", mustJSON(t, again), mustJSON(t, j))
	}
	if prefixed, _, _ := s.request("GET", "/v1/jobs/job-"+j.ID, plain, ""); prefixed != 200 {
		t.Errorf("with the name of its stream: %d", prefixed)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each job of a batch has its own outcome, in order.
func TestABatchOfMixedJobs(t *testing.T) {
	s := newSite(t)
	plain := s.token("web", token.Submitter)
	_, _, body := s.request("POST", "/v1/jobs:batch", plain,
		`{"jobs":[{"command":"true"},{"command":"true","priority":999},{"argv":["true"]},7,{"command":"true","namespace":"default"}]}`)
	items := decode[wire.Batch](t, body).Items
	want := []string{"web", "422 body.jobs[1].priority", "web", "422 body.jobs[3]", "403 body.jobs[4].namespace"}
	var got []string
	for _, item := range items {
		if item.Job != nil && item.Problem == nil {
			got = append(got, item.Job.Namespace)
		} else if item.Problem != nil && item.Job == nil {
			got = append(got, strconv.Itoa(item.Problem.Status)+" "+item.Problem.Errors[0].Location)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: %s", got, want, body)
	}
	if n := s.runner.World().Jobs.Len(); n != 2 {
		t.Errorf("%d jobs were made", n)
	}
}

func TestPagesOfJobsAreStable(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	var want []string
	for i := range 25 {
		want = append(want, s.submit(c, fmt.Sprintf(`{"command":"true","name":"job-%d"}`, i)).ID)
	}
	slices.Reverse(want)
	var got []string
	for cursor := ""; ; {
		page, err := c.Jobs(t.Context(), client.JobsQuery{Limit: 10, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range page.Items {
			got = append(got, j.ID)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
		s.submit(c, `{"command":"true"}`) // newer ones don't move what follows
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d jobs in pages, want %d", len(got), len(want))
	}
}

func TestJobsAreFoundByStateAndNamespace(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	s.run(s.submit(c, `{"command":"x","name":"good"}`).ID, 1, "", succeeded())
	s.run(s.submit(c, `{"command":"x","name":"bad","namespace":"web"}`).ID, 1, "", failed(1))
	s.start(s.submit(c, `{"command":"x","name":"busy"}`).ID, 1)
	s.submit(c, `{"command":"x","name":"idle","namespace":"web"}`)
	for _, row := range []struct {
		query client.JobsQuery
		want  string
	}{
		{client.JobsQuery{}, "idle busy bad good"},
		{client.JobsQuery{States: []string{"failed"}}, "bad"},
		{client.JobsQuery{States: []string{"pending", "running"}}, "idle busy"},
		{client.JobsQuery{Namespace: "web"}, "idle bad"},
		{client.JobsQuery{Namespace: "web", States: []string{"succeeded"}}, ""},
	} {
		page, err := c.Jobs(t.Context(), row.query)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, j := range page.Items {
			names = append(names, j.Name)
		}
		if got := strings.Join(names, " "); got != row.want {
			t.Errorf("%+v: %q, want %q", row.query, got, row.want)
		}
	}
	page, err := c.Jobs(t.Context(), client.JobsQuery{Limit: 1})
	if err != nil || page.Counts != (wire.Counts{Waiting: 1, Running: 1, Ended: 2}) {
		t.Errorf("counted: %+v, %v", page.Counts, err)
	}
}

// A job that has left memory is still there, with its steps, events and output.
func TestAJobThatLeftMemoryIsStillRead(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	s.keepFinished(1)
	code := int32(3)
	first := s.submit(c, `{"command":"exit 3","name":"first"}`)
	s.run(first.ID, 1, "output\n", failed(code))
	s.forget(c, first.ID)
	got, err := c.Job(t.Context(), first.ID)
	if err != nil || got.State != "failed" || got.ExitCode == nil || *got.ExitCode != code || got.Name != "first" || got.Spec == nil {
		t.Errorf("read as %+v, %v", got, err)
	}
	var log strings.Builder
	if err := c.Logs(t.Context(), first.ID, client.LogsQuery{}, &log); err != nil || log.String() != "output\n" {
		t.Errorf("its output is %q, %v", log.String(), err)
	}
	if end, text := follow(t, c, first.ID); end.State != "failed" || text != "output\n" {
		t.Errorf("followed: %s, %q", end.State, text)
	}
	if page, err := c.JobEvents(t.Context(), first.ID, ""); err != nil || len(page.Items) != 4 {
		t.Errorf("%d events, %v", len(page.Items), err)
	}
	other := s.client(s.token("web", token.Admin))
	var p *wire.Problem
	if _, err := other.Job(t.Context(), first.ID); !errors.As(err, &p) || p.Status != 404 {
		t.Errorf("a token of another namespace sees it: %v", err)
	}
	if _, err := c.CancelJob(t.Context(), first.ID, ""); !errors.As(err, &p) || p.Status != 409 {
		t.Errorf("it can be cancelled: %v", err)
	}
}

// keepFinished sets how many jobs that have ended stay in memory.
func (s *site) keepFinished(n uint32) {
	s.t.Helper()
	if _, err := s.commands.ChangeSettings(s.t.Context(), tester, settings.Change{KeptFinished: &n}); err != nil {
		s.t.Fatal(err)
	}
}

// forget lets other jobs end until one has left memory.
func (s *site) forget(c *client.Client, jobID string) {
	s.t.Helper()
	for range 5 {
		s.run(s.submit(c, `{"command":"true"}`).ID, 1, "", succeeded())
	}
	if _, ok := s.runner.World().Jobs.ByID(parseID(s.t, jobID)); ok {
		s.t.Fatalf("job %s is still in memory", jobID)
	}
}

// A key that stands for a job which has left memory still gives that job.
func TestAKeyOutlivesItsJobInMemory(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	s.keepFinished(1)
	first, err := c.Submit(t.Context(), []byte(`{"command":"x"}`), "k")
	if err != nil {
		t.Fatal(err)
	}
	s.run(first.ID, 1, "", succeeded())
	s.forget(c, first.ID)
	again, err := c.Submit(t.Context(), []byte(`{"command":"x"}`), "k")
	if err != nil || again.ID != first.ID || again.State != "succeeded" || again.Spec != nil {
		t.Errorf("%+v, %v", again, err)
	}
}

// What a job went through is told by its own events, page by page.
func TestEventsOfAJob(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	j := s.submit(c, `{"command":"x","retries":{"max":1}}`)
	s.run(j.ID, 1, "", failed(1))
	s.run(j.ID, 2, "", succeeded())
	whole, err := c.JobEvents(t.Context(), j.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for i, e := range whole.Items {
		types = append(types, e.Type)
		if e.Revision != uint64(i+1) || e.Stream != "job-"+j.ID || e.Text == "" || e.Time.IsZero() || e.ID == "" {
			t.Errorf("event %d: %+v", i+1, e)
		}
	}
	if want := "JobSubmitted JobBound JobStarted JobFailed JobRetryScheduled JobRequeued JobBound JobStarted JobSucceeded"; strings.Join(types, " ") != want {
		t.Errorf("%s", types)
	}
	var paged []string
	plain := s.token("default", token.Viewer)
	for cursor, n := "", 0; ; n++ {
		_, _, body := s.request("GET", "/v1/jobs/"+j.ID+"/events?limit=4&cursor="+cursor, plain, "")
		page := decode[wire.Events](t, body)
		for _, e := range page.Items {
			paged = append(paged, e.Type)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
		if n > 5 || len(page.Items) > 4 {
			t.Fatalf("page %d: %s", n, body)
		}
	}
	if !slices.Equal(paged, types) {
		t.Errorf("in pages: %s", paged)
	}
	if !strings.Contains(string(whole.Items[0].Data), `"spec":{`) {
		t.Errorf("the spec is not shown as JSON: %s", whole.Items[0].Data)
	}
}

func TestTheQueueSaysWhy(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	small, large := s.submit(c, `{"command":"x"}`), s.submit(c, `{"command":"x","resources":{"cpu":"64","memory":"1Ti"},"requires":{"arch":"amd64"}}`)
	s.submit(c, `{"command":"x"}`)
	q, err := c.Queue(t.Context(), "")
	if err != nil || len(q.Items) != 2 || q.Waiting != 3 || q.Items[0].Reason != "no_worker" {
		t.Fatalf("%+v, %v", q, err)
	}
	s.worker("atlas")
	q, err = c.Queue(t.Context(), "")
	if err != nil || len(q.Items) != 2 {
		t.Fatalf("%+v, %v", q, err)
	}
	first, second := q.Items[0], q.Items[1]
	if first.Waiting != 2 || first.Reason != "next" || first.Next[0] != small.ID || first.Oldest == nil || first.Needs.CPU != "100m" {
		t.Errorf("the first class: %+v", first)
	}
	if second.Reason != "too_large" || second.Next[0] != large.ID || second.Needs.Memory != "1Ti" || second.Needs.Requires["arch"] != "amd64" {
		t.Errorf("the second class: %+v", second)
	}
	plain := s.token(token.AllNamespaces, token.Viewer)
	var classes []string
	for cursor := ""; ; {
		_, _, body := s.request("GET", "/v1/queue?limit=1&cursor="+cursor, plain, "")
		page := decode[wire.Queue](t, body)
		for _, item := range page.Items {
			classes = append(classes, item.Class)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(classes, []string{first.Class, second.Class}) {
		t.Errorf("in pages: %s", classes)
	}
}

// A class whose only job waits for the delay of a retry says that.
func TestAClassThatWaitsForARetry(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	s.worker("atlas")
	j := s.submit(c, `{"command":"x","retries":{"max":3,"backoff":"1h"}}`)
	s.run(j.ID, 1, "", failed(1))
	q, err := c.Queue(t.Context(), "")
	if err != nil || len(q.Items) != 1 || q.Backoff != 1 || q.Items[0].Reason != "backoff" || !slices.Equal(q.Items[0].Next, []string{j.ID}) {
		t.Errorf("%+v, %v", q, err)
	}
	got, err := c.Job(t.Context(), j.ID)
	if err != nil || got.State != "pending" || got.Reason != "backoff" || got.Attempt != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWorkersAreReadByIDAndName(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	var ids []string
	for i := range 5 {
		ids = append(ids, s.worker("worker-"+strconv.Itoa(i)))
	}
	for _, name := range []string{ids[3], "worker-" + ids[3], "worker-3"} {
		if w, err := c.Worker(t.Context(), name); err != nil || w.ID != ids[3] || w.State != "online" || w.Capacity.CPU != 2 {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
	slices.Sort(ids)
	var got []string
	plain := s.token("web", token.Viewer)
	for cursor := ""; ; {
		_, _, body := s.request("GET", "/v1/workers?limit=2&cursor="+cursor, plain, "")
		page := decode[wire.Workers](t, body)
		for _, w := range page.Items {
			got = append(got, w.ID)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, ids) {
		t.Errorf("in pages: %s, want %s", got, ids)
	}
}
