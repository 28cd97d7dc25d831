package api

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

// Wrong input is a 4xx problem that names the field, and changes nothing.
func TestWrongInputIsNamedAndChangesNothing(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	j := s.submit(s.client(plain), `{"command":"true"}`)
	before, _ := s.store.Wait()
	for _, row := range []struct {
		name, method, path, body string
		status                   int
		location                 string // of the first error, or its beginning
	}{
		{"an unknown field", "POST", "/v1/jobs", `{"command":"true","retrys":1}`, 422, "retrys"},
		{"secrets, which there are none yet", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":"b"}}`, 422, "secrets"},
		{"a bad label", "POST", "/v1/jobs", `{"command":"true","labels":{"bad label!":"x"}}`, 422, "labels"},
		{"a negative memory", "POST", "/v1/jobs", `{"command":"true","resources":{"memory":"-1Mi"}}`, 422, "resources.memory"},
		{"a wrong type", "POST", "/v1/jobs", `{"command":"true","priority":"high"}`, 422, "priority"},
		{"a priority out of range", "POST", "/v1/jobs", `{"command":"true","priority":101}`, 422, "priority"},
		{"a NUL", "POST", "/v1/jobs", `{"command":"a\u0000b"}`, 422, "command"},
		{"a field twice", "POST", "/v1/jobs", `{"command":"true","command":"false"}`, 422, "command"},
		{"no JSON", "POST", "/v1/jobs", `{`, 422, ""},
		{"nothing", "POST", "/v1/jobs", ``, 0, ""},
		{"a list", "POST", "/v1/jobs", `[]`, 422, ""},
		{"a body of 2 MB", "POST", "/v1/jobs", `{"command":"` + strings.Repeat("x", 2<<20) + `"}`, 413, ""},
		{"a spec of 300 kB", "POST", "/v1/jobs", `{"command":"` + strings.Repeat("x", 300<<10) + `"}`, 0, ""},
		{"an unknown namespace", "POST", "/v1/jobs", `{"command":"true","namespace":"nowhere"}`, 404, ""},
		{"a batch of nothing", "POST", "/v1/jobs:batch", `{"jobs":[]}`, 422, "jobs"},
		{"a batch with an unknown field", "POST", "/v1/jobs:batch", `{"job":[]}`, 422, "job"},
		{"an unknown job", "GET", "/v1/jobs/zzzzzzzz", ``, 404, ""},
		{"a malformed id", "GET", "/v1/jobs/..%2f..%2fetc", ``, 422, "path.id"},
		{"an unknown query parameter", "GET", "/v1/jobs?stat=x", ``, 422, "query"},
		{"an unknown state", "GET", "/v1/jobs?state=asleep", ``, 422, "query.state"},
		{"a bad cursor", "GET", "/v1/jobs?cursor=abc", ``, 422, "query.cursor"},
		{"a limit out of range", "GET", "/v1/jobs?limit=100000", ``, 422, "query.limit"},
		{"a bad position", "GET", "/v1/events?cursor=-1", ``, 422, "query.cursor"},
		{"an attempt that never was", "GET", "/v1/jobs/" + j.ID + "/logs?attempt=7", ``, 404, ""},
		{"an unknown field of a cancellation", "POST", "/v1/jobs/" + j.ID + "/cancel", `{"why":"x"}`, 422, "body"},
		{"an unknown worker", "GET", "/v1/workers/nobody", ``, 404, ""},
		{"an unknown path", "GET", "/v1/nothing", ``, 404, ""},
		{"a wrong method", "DELETE", "/v1/jobs", ``, 405, ""},
	} {
		status, kind, body := s.request(row.method, row.path, plain, row.body)
		if status < 400 || status > 499 || row.status != 0 && status != row.status || kind != "application/problem+json" {
			t.Errorf("%s: %d %s, want %d: %.200s", row.name, status, kind, row.status, body)
			continue
		}
		p := decode[wire.Problem](t, body)
		if row.location != "" && (len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Location, row.location)) {
			t.Errorf("%s: does not name %s: %s", row.name, row.location, body)
		}
		if p.Detail == "" || strings.Contains(p.Detail, "json:") {
			t.Errorf("%s: says %q", row.name, p.Detail)
		}
	}
	if after, _ := s.store.Wait(); after != before {
		t.Errorf("%d events were recorded", after-before)
	}
}

func TestBatchesAndKeys(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Submitter)
	_, _, body := s.request("POST", "/v1/jobs:batch", plain, `{"jobs":[{"command":"true"},{"command":"true","priority":999},{"argv":["true"]}]}`)
	items := decode[wire.Batch](t, body).Items
	if len(items) != 3 || items[0].Job == nil || items[2].Job == nil || items[1].Problem == nil || items[1].Problem.Status != 422 {
		t.Fatalf("a batch with one bad job: %s", body)
	}
	c := s.client(plain)
	one, err := c.Submit(t.Context(), []byte(`{"command":"true"}`), "k1")
	if err != nil {
		t.Fatal(err)
	}
	if two, err := c.Submit(t.Context(), []byte(`{"command":"true"}`), "k1"); err != nil || two.ID != one.ID {
		t.Errorf("the same key gave another job: %v, %v", two, err)
	}
	var p *wire.Problem
	if _, err := c.Submit(t.Context(), []byte(`{"command":"false"}`), "k1"); !errors.As(err, &p) || p.Status != 409 {
		t.Errorf("another job under the same key: %v", err)
	}
}

func TestPagesOfJobsAreStable(t *testing.T) {
	s := newSite(t)
	c := s.client(s.token(token.AllNamespaces, token.Admin))
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

// A job that has left memory is still there, with its steps, events and output.
func TestAJobThatLeftMemoryIsStillRead(t *testing.T) {
	s := newSite(t)
	c := s.client(s.token(token.AllNamespaces, token.Admin))
	kept := uint32(1)
	if _, err := s.commands.ChangeSettings(t.Context(), tester, settings.Change{KeptFinished: &kept}); err != nil {
		t.Fatal(err)
	}
	code := int32(3)
	first := s.submit(c, `{"command":"exit 3","name":"first"}`)
	s.run(first.ID, 1, "output\n", failed(code))
	for range 3 {
		j := s.submit(c, `{"command":"true"}`)
		s.run(j.ID, 1, "", succeeded())
	}
	got, err := c.Job(t.Context(), first.ID)
	if err != nil || got.State != "failed" || got.ExitCode == nil || *got.ExitCode != code || got.Name != "first" || got.Spec == nil {
		t.Errorf("read as %+v, %v", got, err)
	}
	var log strings.Builder
	if err := c.Logs(t.Context(), first.ID, 0, &log); err != nil || log.String() != "output\n" {
		t.Errorf("its output is %q, %v", log.String(), err)
	}
	if end, text := follow(t, c, first.ID); end.State != "failed" || text != "output\n" {
		t.Errorf("followed: %s, %q", end.State, text)
	}
	if page, err := c.JobEvents(t.Context(), first.ID, ""); err != nil || len(page.Items) != 4 {
		t.Errorf("%d events, %v", len(page.Items), err)
	}
}

// The documented spec has exactly the fields that are read.
func TestTheDocumentedSpecIsTheOneThatIsRead(t *testing.T) {
	for _, pair := range [][2]reflect.Type{
		{typeOf[Spec](), typeOf[spec.Spec]()}, {typeOf[SpecStep](), typeOf[spec.Step]()},
		{typeOf[SpecRetries](), typeOf[spec.Retries]()}, {typeOf[SpecCancel](), typeOf[spec.Cancel]()},
	} {
		if got, want := jsonFields(pair[0]), jsonFields(pair[1]); !slices.Equal(got, want) {
			t.Errorf("%s documents %v, read are %v", pair[0], got, want)
		}
	}
}

func jsonFields(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func TestTheDocumentationNamesEveryOperation(t *testing.T) {
	s := newSite(t)
	status, kind, page := s.request("GET", "/docs", "", "")
	if status != 200 || !strings.HasPrefix(kind, "text/html") {
		t.Fatalf("%d %s", status, kind)
	}
	for _, route := range routes(s.document) {
		if !strings.Contains(string(page), route) {
			t.Errorf("%s is not on the page", route)
		}
	}
	if strings.Contains(string(page), "http://") || strings.Contains(string(page), "https://") {
		t.Error("the page loads something from elsewhere")
	}
	if status, _, _ := s.request("GET", "/openapi.json", "", ""); status != 200 {
		t.Errorf("openapi.json: %d", status)
	}
}

func failed(code int32) job.Finish {
	return job.Finish{Outcome: job.OutcomeFailed, Cause: "exit", Ending: ending(code)}
}

func succeeded() job.Finish { return job.Finish{Outcome: job.OutcomeSucceeded, Ending: ending(0)} }
