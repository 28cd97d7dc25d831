package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// bad is a request that is wrong, and what is said of it.
type bad struct {
	name, method, path, body string
	status                   int
	location                 string // of the first error
	headers                  []string
}

// Wrong input is a 4xx problem that names the field, and changes nothing.
func TestWrongInputIsNamedAndChangesNothing(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	j := s.submit(s.client(plain), `{"command":"true"}`)
	job := "/v1/jobs/" + j.ID
	s.secret("default", "db", "x")
	if _, err := s.client(plain).Submit(t.Context(), []byte(`{"command":"true"}`), "used"); err != nil {
		t.Fatal(err)
	}
	before, _ := s.store.Wait()
	for _, row := range []bad{
		{"an unknown field", "POST", "/v1/jobs", `{"command":"true","retrys":1}`, 422, "body.retrys", nil},
		{"secrets that are a list", "POST", "/v1/jobs", `{"command":"true","secrets":["canary"]}`, 422, "body.secrets", nil},
		{"a secret that is a number", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":4711}}`, 422, "body.secrets.A", nil},
		{"a secret that is empty", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":""}}`, 422, "body.secrets.A", nil},
		{"a secret with a NUL", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":"canary\u0000"}}`, 422, "body.secrets.A", nil},
		{"a secret that is too long", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":"` + strings.Repeat("canary", spec.MaxSecretValue/6+1) + `"}}`, 422, "body.secrets.A", nil},
		{"a secret that is also in env", "POST", "/v1/jobs", `{"command":"true","env":{"A":"x"},"secrets":{"A":"canary"}}`, 422, "body.secrets.A", nil},
		{"a secret that is sealed already", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":{"sealed":"canary","key":"job/x"}}}`, 422, "body.secrets.A", nil},
		{"a stored secret that there is not", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":{"from":"none"}}}`, 404, "body.secrets.A.from", nil},
		{"a stored secret's version that there is not", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":{"from":"db","version":2}}}`, 404, "body.secrets.A.from", nil},
		{"a stored secret of another namespace", "POST", "/v1/jobs", `{"command":"true","namespace":"web","secrets":{"A":{"from":"db"}}}`, 404, "body.secrets.A.from", nil},

		{"no value", "PUT", "/v1/secrets/db", `{}`, 422, "body", nil},
		{"two values", "PUT", "/v1/secrets/db", `{"value":"canary","base64":"Y2FuYXJ5"}`, 422, "body", nil},
		{"an unknown field of a value", "PUT", "/v1/secrets/db", `{"canary":"x"}`, 422, "body", nil},
		{"a value that is a number", "PUT", "/v1/secrets/db", `{"value":4711}`, 422, "body.value", nil},
		{"a value that is null", "PUT", "/v1/secrets/db", `{"value":null}`, 422, "body.value", nil},
		{"a value that is empty", "PUT", "/v1/secrets/db", `{"value":""}`, 422, "body.value", nil},
		{"a value with a NUL", "PUT", "/v1/secrets/db", `{"base64":"Y2FuYXJ5AA=="}`, 422, "body.base64", nil},
		{"a value that is given twice", "PUT", "/v1/secrets/db", `{"value":"canary","value":"canary"}`, 422, "body.value", nil},
		{"a value that is no base64", "PUT", "/v1/secrets/db", `{"base64":"canary!"}`, 422, "body.base64", nil},
		{"a value that is too long", "PUT", "/v1/secrets/db", `{"value":"` + strings.Repeat("x", spec.MaxSecretValue+1) + `"}`, 422, "body.value", nil},
		{"a value that is a text", "PUT", "/v1/secrets/db", `canary`, 422, "body", nil},
		{"a value that is a list", "PUT", "/v1/secrets/db", `["canary"]`, 422, "body", nil},
		{"a value that is nothing", "PUT", "/v1/secrets/db", ``, 400, "body", nil},
		{"a value that is a form", "PUT", "/v1/secrets/db", `value=canary`, 415, "header.Content-Type", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"a value of 2 MB", "PUT", "/v1/secrets/db", `{"value":"` + strings.Repeat("x", 2<<20) + `"}`, 413, "body", nil},
		{"a secret's name that can't be", "PUT", "/v1/secrets/a%20b", `{"value":"x"}`, 422, "path.name", nil},
		{"a secret's name with a path", "PUT", "/v1/secrets/..%2fx", `{"value":"x"}`, 422, "path.name", nil},
		{"a secret's name without end", "PUT", "/v1/secrets/" + strings.Repeat("a", 57), `{"value":"x"}`, 422, "path.name", nil},
		{"a secret in a namespace that there is not", "PUT", "/v1/secrets/db?namespace=nowhere", `{"value":"x"}`, 404, "query.namespace", nil},
		{"a secret in a namespace that can't be", "PUT", "/v1/secrets/db?namespace=..", `{"value":"x"}`, 404, "query.namespace", nil},
		{"an unknown secret to delete", "DELETE", "/v1/secrets/none", ``, 404, "path.name", nil},
		{"a secret to delete with a body", "DELETE", "/v1/secrets/db", `{"value":"canary"}`, 400, "body", nil},
		{"a list with a body", "GET", "/v1/jobs", `{"limit":1}`, 400, "body", nil},
		{"a secret to delete whose name can't be", "DELETE", "/v1/secrets/a%20b", ``, 404, "path.name", nil},
		{"a bad cursor of secrets", "GET", "/v1/secrets?cursor=x", ``, 422, "query.cursor", nil},
		{"secrets page by page twice", "GET", "/v1/secrets?limit=1&limit=2", ``, 422, "query.limit", nil},
		{"a secret in two namespaces", "PUT", "/v1/secrets/db?namespace=web&namespace=default", `{"value":"x"}`, 422, "query.namespace", nil},
		{"a secret to read", "GET", "/v1/secrets/db", ``, 405, "method", nil},
		{"a bad label", "POST", "/v1/jobs", `{"command":"true","labels":{"bad label!":"x"}}`, 422, `body.labels["bad label!"]`, nil},
		{"a negative memory", "POST", "/v1/jobs", `{"command":"true","resources":{"memory":"-1Mi"}}`, 422, "body.resources.memory", nil},
		{"a memory that is a number", "POST", "/v1/jobs", `{"command":"true","resources":{"memory":5}}`, 422, "body.resources.memory", nil},
		{"a wrong type", "POST", "/v1/jobs", `{"command":"true","priority":"high"}`, 422, "body.priority", nil},
		{"a priority out of range", "POST", "/v1/jobs", `{"command":"true","priority":101}`, 422, "body.priority", nil},
		{"a NUL", "POST", "/v1/jobs", `{"command":"a\u0000b"}`, 422, "body.command", nil},
		{"bytes that are no text", "POST", "/v1/jobs", "{\"command\":\"\xff\"}", 422, "body", nil},
		{"a field twice", "POST", "/v1/jobs", `{"command":"true","command":"false"}`, 422, "body.command", nil},
		{"no JSON", "POST", "/v1/jobs", `{`, 422, "body", nil},
		{"text", "POST", "/v1/jobs", `x`, 422, "body", nil},
		{"an empty object", "POST", "/v1/jobs", `{}`, 422, "body", nil},
		{"a command and a program", "POST", "/v1/jobs", `{"command":"a","argv":["b"]}`, 422, "body.command", nil},
		{"a key that was used for another job", "POST", "/v1/jobs", `{"command":"other"}`, 409, "header.Idempotency-Key", []string{"Idempotency-Key", "used"}},
		{"nothing", "POST", "/v1/jobs", ``, 400, "body", nil},
		{"a list", "POST", "/v1/jobs", `[]`, 422, "body", nil},
		{"a body of 2 MB", "POST", "/v1/jobs", `{"command":"` + strings.Repeat("x", 2<<20) + `"}`, 413, "body", nil},
		{"a spec of 300 kB", "POST", "/v1/jobs", `{"command":"` + strings.Repeat("x", 300<<10) + `"}`, 422, "body", nil},
		{"an unknown namespace", "POST", "/v1/jobs", `{"command":"true","namespace":"nowhere"}`, 404, "body.namespace", nil},
		{"a namespace that can't be", "POST", "/v1/jobs", `{"command":"true","namespace":"../x"}`, 422, "body.namespace", nil},
		{"a body that is a form", "POST", "/v1/jobs", `{"command":"true"}`, 415, "header.Content-Type", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"a key that is too long", "POST", "/v1/jobs", `{"command":"true"}`, 422, "header.Idempotency-Key", []string{"Idempotency-Key", strings.Repeat("k", 129)}},
		{"a query where there is none", "POST", "/v1/jobs?dry_run=true", `{"command":"true"}`, 422, "query.dry_run", nil},

		{"a batch of nothing", "POST", "/v1/jobs:batch", `{"jobs":[]}`, 422, "body.jobs", nil},
		{"a batch without jobs", "POST", "/v1/jobs:batch", `{}`, 422, "body.jobs", nil},
		{"a batch with an unknown field", "POST", "/v1/jobs:batch", `{"job":[]}`, 422, "body.job", nil},
		{"a batch whose jobs are no list", "POST", "/v1/jobs:batch", `{"jobs":{}}`, 422, "body.jobs", nil},
		{"a batch with something after it", "POST", "/v1/jobs:batch", `{"jobs":[{"command":"true"}]} {}`, 422, "body", nil},
		{"a batch that is a list", "POST", "/v1/jobs:batch", `[{"command":"true"}]`, 422, "body", nil},
		{"a batch whose jobs are given twice", "POST", "/v1/jobs:batch", `{"jobs":[{"command":"true"}],"jobs":[{"command":"true"}]}`, 422, "body.jobs", nil},
		{"a batch of too many", "POST", "/v1/jobs:batch", `{"jobs":[` + strings.Repeat(`1,`, maxBatch) + `1]}`, 422, "body.jobs", nil},
		{"a batch of 2 MB", "POST", "/v1/jobs:batch", `{"jobs":["` + strings.Repeat("x", 2<<20) + `"]}`, 413, "body", nil},

		{"an unknown job", "GET", "/v1/jobs/zzzzzzzz", ``, 404, "path.id", nil},
		{"an unknown job's events", "GET", "/v1/jobs/zzzzzzzz/events", ``, 404, "path.id", nil},
		{"an unknown job's logs", "GET", "/v1/jobs/zzzzzzzz/logs", ``, 404, "path.id", nil},
		{"an unknown job to cancel", "POST", "/v1/jobs/zzzzzzzz/cancel", ``, 404, "path.id", nil},
		{"a malformed id", "GET", "/v1/jobs/..%2f..%2fetc", ``, 422, "path.id", nil},
		{"an id with letters that ids don't have", "GET", "/v1/jobs/loooooil", ``, 422, "path.id", nil},
		{"an id that is endless", "GET", "/v1/jobs/" + strings.Repeat("a", 5000), ``, 422, "path.id", nil},
		{"an unknown query parameter", "GET", "/v1/jobs?stat=x", ``, 422, "query.stat", nil},
		{"a query with a broken escape", "GET", "/v1/jobs?namespace=%zz", ``, 422, "query", nil},
		{"a query with semicolons", "GET", "/v1/jobs?limit=1;namespace=web", ``, 422, "query", nil},
		{"a body that is compressed", "POST", "/v1/jobs", `{"command":"true"}`, 415, "header.Content-Encoding", []string{"Content-Encoding", "gzip"}},
		{"an unknown state", "GET", "/v1/jobs?state=asleep", ``, 422, "query.state", nil},
		{"a bad cursor", "GET", "/v1/jobs?cursor=abc", ``, 422, "query.cursor", nil},
		{"a parameter twice", "GET", "/v1/jobs?limit=5&limit=6", ``, 422, "query.limit", nil},
		{"a filter twice", "GET", "/v1/events?type=JobLost&type=JobBound", ``, 422, "query.type", nil},
		{"a position beyond the newest", "GET", "/v1/events?cursor=999999999", ``, 422, "query.cursor", nil},
		{"a position beyond the newest, backwards", "GET", "/v1/events?order=desc&cursor=999999999", ``, 422, "query.cursor", nil},
		{"an event that never was to go on after", "GET", "/v1/events", ``, 422, "header.Last-Event-ID", []string{"Accept", streamType, "Last-Event-ID", "999999999"}},
		{"an order that there is not", "GET", "/v1/events?order=up", ``, 422, "query.order", nil},
		{"a stream backwards", "GET", "/v1/events?order=desc", ``, 422, "query.order", []string{"Accept", streamType}},
		{"a limit out of range", "GET", "/v1/jobs?limit=100000", ``, 422, "query.limit", nil},
		{"a limit of 0", "GET", "/v1/jobs?limit=0", ``, 422, "query.limit", nil},
		{"a limit that is a word", "GET", "/v1/jobs?limit=many", ``, 422, "query.limit", nil},
		{"a namespace that is too long", "GET", "/v1/jobs?namespace=" + strings.Repeat("a", 64), ``, 422, "query.namespace", nil},
		{"a bad cursor of a job's events", "GET", job + "/events?cursor=-1", ``, 422, "query.cursor", nil},
		{"a bad cursor of the queue", "GET", "/v1/queue?cursor=c1", ``, 422, "query.cursor", nil},
		{"a bad cursor of workers", "GET", "/v1/workers?cursor=!", ``, 422, "query.cursor", nil},
		{"an unknown worker", "GET", "/v1/workers/nobody", ``, 404, "path.id", nil},

		{"a bad position", "GET", "/v1/events?cursor=-1", ``, 422, "query.cursor", nil},
		{"an unknown type of event", "GET", "/v1/events?type=JobExploded", ``, 422, "query.type", nil},
		{"a bad id to go on after", "GET", "/v1/events", ``, 422, "header.Last-Event-ID", []string{"Last-Event-ID", "x"}},
		{"an attempt that never was", "GET", job + "/logs?attempt=7", ``, 404, "query.attempt", nil},
		{"a negative attempt", "GET", job + "/logs?attempt=-1", ``, 422, "query.attempt", nil},
		{"a bad id of a log", "GET", job + "/logs", ``, 422, "header.Last-Event-ID", []string{"Accept", streamType, "Last-Event-ID", "x"}},
		{"an id of a log without an attempt", "GET", job + "/logs", ``, 422, "header.Last-Event-ID", []string{"Accept", streamType, "Last-Event-ID", "5"}},
		{"an id of an attempt that never was", "GET", job + "/logs", ``, 422, "header.Last-Event-ID", []string{"Accept", streamType, "Last-Event-ID", logID(3, 5)}},
		{"a step that is not there", "GET", job + "/logs?step=build", ``, 404, "query.step", nil},
		{"a since that is no time", "GET", job + "/logs?since=yesterday", ``, 422, "query.since", nil},
		{"an until that is no time", "GET", job + "/logs?until=2026-03-09", ``, 422, "query.until", nil},
		{"a tail that is no number", "GET", job + "/logs?tail=-5", ``, 422, "query.tail", nil},
		{"line 0", "GET", job + "/logs?lines=0:5", ``, 422, "query.lines", nil},
		{"lines that go back", "GET", job + "/logs?lines=5:4", ``, 422, "query.lines", nil},
		{"lines without a number", "GET", job + "/logs?lines=:", ``, 422, "query.lines", nil},
		{"a third stream", "GET", job + "/logs?stream=stdin", ``, 422, "query.stream", nil},
		{"a way to treat escapes that is unknown", "GET", job + "/logs?ansi=html", ``, 422, "query.ansi", nil},
		{"a broken regular expression", "GET", job + "/logs?grep=(", ``, 422, "query.grep", nil},
		{"a regular expression that is too large", "GET", job + "/logs?grep=(a{1000}){1000}", ``, 422, "query.grep", nil},
		{"a search that looks back", "GET", job + `/logs?grep=(a)\1`, ``, 422, "query.grep", nil},
		{"lines around nothing", "GET", job + "/logs?context=2", ``, 422, "query.context", nil},
		{"too many lines around matches", "GET", job + "/logs?grep=a&context=51", ``, 422, "query.context", nil},
		{"a cursor without a search", "GET", job + "/logs?cursor=1.1", ``, 422, "query.cursor", nil},
		{"a bad cursor of a search", "GET", job + "/logs?grep=a&cursor=1", ``, 422, "query.cursor", nil},
		{"two searches", "GET", job + "/logs?grep=a&grep=b", ``, 422, "query.grep", nil},
		{"a search for too many", "GET", job + "/logs?grep=a&limit=10001", ``, 422, "query.limit", nil},
		{"a text that follows", "GET", job + "/logs?follow=true", ``, 422, "query.follow", nil},
		{"a search in a stream", "GET", job + "/logs?grep=a", ``, 422, "query.grep", []string{"Accept", streamType}},
		{"a stream without escapes", "GET", job + "/logs?ansi=strip", ``, 422, "query.ansi", []string{"Accept", streamType}},
		{"a stream that follows until", "GET", job + "/logs?until=5m", ``, 422, "query.until", []string{"Accept", streamType}},
		{"a stream that follows to a line", "GET", job + "/logs?lines=1:2", ``, 422, "query.lines", []string{"Accept", streamType}},
		{"the steps of an attempt that never was", "GET", job + "/logs/steps?attempt=2", ``, 404, "query.attempt", nil},

		{"an unknown field of a cancellation", "POST", job + "/cancel", `{"why":"x"}`, 422, "body.why", nil},
		{"a cancellation with a long value", "POST", job + "/cancel", `{"why":"` + strings.Repeat("x", 900<<10) + `"}`, 422, "body.why", nil},
		{"a cancellation with a long name", "POST", job + "/cancel", `{"` + strings.Repeat("x", 900<<10) + `":1}`, 422, "body." + strings.Repeat("x", maxPlace-5) + "…", nil},
		{"a reason that is too long", "POST", job + "/cancel", `{"reason":"` + strings.Repeat("x", 257) + `"}`, 422, "body.reason", nil},
		{"a reason that is a number", "POST", job + "/cancel", `{"reason":1}`, 422, "body.reason", nil},
		{"a cancellation that is no JSON", "POST", job + "/cancel", `{`, 400, "body", nil},
		{"a cancellation that is a list", "POST", job + "/cancel", `[]`, 422, "body", nil},
		{"a cancellation that is a form", "POST", job + "/cancel", `reason=x`, 415, "header.Content-Type", []string{"Content-Type", "text/plain"}},

		{"a worker token with an unknown field", "POST", "/v1/workers:token", `{"pool":"x"}`, 422, "body.pool", nil},
		{"a worker token with a label that can't be", "POST", "/v1/workers:token", `{"labels":{"bad label!":"x"}}`, 422, "body.labels", nil},
		{"a worker token without end", "POST", "/v1/workers:token", `{"hours":9000}`, 422, "body.hours", nil},
		{"a worker token for words of hours", "POST", "/v1/workers:token", `{"hours":"2"}`, 422, "body.hours", nil},

		{"an unknown setting", "PATCH", "/v1/settings", `{"polcy":"binpack"}`, 422, "body.polcy", nil},
		{"a setting with a long name", "PATCH", "/v1/settings", `{"` + strings.Repeat("x", 900<<10) + `":1}`, 422, "body." + strings.Repeat("x", maxShown) + "…", nil},
		{"a policy that there is not", "PATCH", "/v1/settings", `{"policy":"random"}`, 422, "body.policy", nil},
		{"a policy that is a list", "PATCH", "/v1/settings", `{"policy":["binpack"]}`, 422, "body.policy", nil},
		{"a policy that is null", "PATCH", "/v1/settings", `{"policy":null}`, 422, "body.policy", nil},
		{"a duration that is a number", "PATCH", "/v1/settings", `{"reconnect_tolerance":30}`, 422, "body.reconnect_tolerance", nil},
		{"a duration without a unit", "PATCH", "/v1/settings", `{"reconnect_tolerance":"30"}`, 422, "body.reconnect_tolerance", nil},
		{"a tolerance that is too short", "PATCH", "/v1/settings", `{"reconnect_tolerance":"9s"}`, 422, "body.reconnect_tolerance", nil},
		{"a tolerance that is negative", "PATCH", "/v1/settings", `{"reconnect_tolerance":"-30s"}`, 422, "body.reconnect_tolerance", nil},
		{"a retention without end", "PATCH", "/v1/settings", `{"secret_retention":"366d"}`, 422, "body.secret_retention", nil},
		{"a time without a server that is too short", "PATCH", "/v1/settings", `{"orphan_after":"29s"}`, 422, "body.orphan_after", nil},
		{"aging that is endless", "PATCH", "/v1/settings", `{"aging_step":"25h"}`, 422, "body.aging_step", nil},
		{"too many ended jobs", "PATCH", "/v1/settings", `{"kept_finished":1000001}`, 422, "body.kept_finished", nil},
		{"more ended jobs than can be counted", "PATCH", "/v1/settings", `{"kept_finished":99999999999999999999}`, 422, "body.kept_finished", nil},
		{"a part of an ended job", "PATCH", "/v1/settings", `{"kept_finished":1.5}`, 422, "body.kept_finished", nil},
		{"a setting twice", "PATCH", "/v1/settings", `{"policy":"leastloaded","policy":"binpack"}`, 422, "body.policy", nil},
		{"settings that are none", "PATCH", "/v1/settings", `{}`, 422, "body", nil},
		{"settings that are a list", "PATCH", "/v1/settings", `[]`, 422, "body", nil},
		{"settings that are nothing", "PATCH", "/v1/settings", ``, 400, "body", nil},
		{"settings of 2 MB", "PATCH", "/v1/settings", `{"policy":"` + strings.Repeat("x", 2<<20) + `"}`, 413, "body", nil},
		{"settings of a version that is none", "PATCH", "/v1/settings", `{"policy":"leastloaded"}`, 422, "header.If-Match", []string{"If-Match", `"x"`}},
		{"settings of a version that never was", "PATCH", "/v1/settings", `{"policy":"leastloaded"}`, 412, "header.If-Match", []string{"If-Match", `"7"`}},
		{"settings to delete", "DELETE", "/v1/settings", ``, 405, "method", nil},

		{"an unknown path", "GET", "/v1/nothing", ``, 404, "path", nil},
		{"a wrong method", "DELETE", "/v1/jobs", ``, 405, "method", nil},
		{"a method of a batch", "GET", "/v1/jobs:batch", ``, 405, "method", nil},
	} {
		status, kind, body := s.request(row.method, row.path, plain, row.body, row.headers...)
		if status != row.status || kind != problemType {
			t.Errorf("%s: %d %s, want %d: %.200s", row.name, status, kind, row.status, body)
			continue
		}
		p := decode[wire.Problem](t, body)
		if len(p.Errors) == 0 || p.Errors[0].Location != row.location || row.location == "" {
			t.Errorf("%s: does not name %s: %.300s", row.name, row.location, body)
		}
		if p.Detail == "" || p.Status != status || p.Kind == "" || p.Title == "" || len(body) > 2000 {
			t.Errorf("%s: says %.300s", row.name, body)
		}
		checkLeaks(t, row.name, string(body))
		if text := string(body); strings.Contains(text, "canary") || strings.Contains(text, "4711") {
			t.Errorf("%s: shows a secret: %.300s", row.name, text)
		}
	}
	if after, _ := s.store.Wait(); after != before {
		t.Errorf("%d events were recorded", after-before)
	}
}

// checkLeaks fails if a text is one of Go's or of a library's, not written for
// those who use the API.
func checkLeaks(t *testing.T, name, text string) {
	t.Helper()
	for _, leak := range []string{"json:", "strconv", "parsing", "invalid syntax", "EOF", "unmarshal", "goroutine", "echo", "huma", "0x", "struct", "expected", "invalid integer", "required"} {
		if strings.Contains(text, leak) {
			t.Errorf("%s: %q is from inside: %.300s", name, leak, text)
		}
	}
}

// A body without a length is measured while it is read.
func TestABodyWithoutALengthIsMeasured(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	before, _ := s.store.Wait()
	for size, want := range map[int]int{2 << 20: http.StatusRequestEntityTooLarge, 100: http.StatusUnprocessableEntity} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/jobs", io.MultiReader(strings.NewReader(`{"command":"`), bytes.NewReader(make([]byte, size))))
		r.Header.Set("Authorization", "Bearer "+plain)
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if r.ContentLength != -1 || w.Code != want {
			t.Errorf("%d bytes: %d, want %d: %s", size, w.Code, want, w.Body)
		}
	}
	if after, _ := s.store.Wait(); after != before {
		t.Errorf("%d events were recorded", after-before)
	}
}

// A body that ends too early is the client's mistake, not the server's.
func TestABodyThatEndsTooEarly(t *testing.T) {
	err := newError(http.StatusInternalServerError, "cannot read request body", io.ErrUnexpectedEOF)
	if err.GetStatus() != http.StatusBadRequest {
		t.Errorf("it is answered with %d", err.GetStatus())
	}
	if p := newError(http.StatusInternalServerError, "unexpected", context.DeadlineExceeded).(*wire.Problem); len(p.Errors) > 0 || strings.Contains(p.Detail, "deadline") {
		t.Errorf("what is inside is shown: %+v", p)
	}
}

// A job can be cancelled with nothing, {} or a reason; twice is as once.
func TestCancelling(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	for name, body := range map[string]string{"nothing": ``, "{}": `{}`, "a reason": `{"reason":"no longer needed"}`} {
		j := s.submit(s.client(plain), `{"command":"true"}`)
		for range 2 {
			status, _, answer := s.request("POST", "/v1/jobs/"+j.ID+"/cancel", plain, body)
			if status != 200 {
				t.Errorf("with %s: %d: %s", name, status, answer)
				continue
			}
			got := decode[wire.Job](t, answer)
			if got.State != "cancelled" || got.Finished == nil || strings.Contains(body, "needed") != strings.Contains(got.Summary, "needed") {
				t.Errorf("with %s: %s", name, answer)
			}
		}
	}
	done := s.submit(s.client(plain), `{"command":"true"}`)
	s.run(done.ID, 1, "", succeeded())
	if status, _, body := s.request("POST", "/v1/jobs/"+done.ID+"/cancel", plain, ``); status != 409 {
		t.Errorf("a job that has ended: %d: %s", status, body)
	}
}

// A client that sends its body slowly is not waited for for ever.
func TestTimeouts(t *testing.T) {
	s := newSite(t)
	for path, item := range s.document.Paths {
		for method, op := range operations(item) {
			if method == "POST" && (op.BodyReadTimeout <= 0 || op.BodyReadTimeout > time.Minute || op.MaxBodyBytes != maxBody) {
				t.Errorf("%s %s: %s to send %d bytes", method, path, op.BodyReadTimeout, op.MaxBodyBytes)
			}
		}
	}
}
