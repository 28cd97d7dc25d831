package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/api/wire"
)

// fakeToken is the one token that the made-up cluster accepts.
const fakeToken = "hodei_9fQ2mVb7LkTz3RwYxN5sDcHx4Q7"

// fakeNow is the moment at which all commands are run against it.
var fakeNow = time.Date(2026, 3, 9, 10, 42, 7, 140e6, time.UTC)

func ago(d time.Duration) time.Time { return fakeNow.Add(-d) }

func at(t time.Time) *time.Time { return &t }

func ptr[T any](v T) *T { return &v }

// fakeJobs is what runs, waits and ended in the made-up cluster.
func fakeJobs() []wire.Job {
	return []wire.Job{
		{ID: "9d2mx7ht", Name: "build-web", Namespace: "web", State: "pending", Reason: "busy", Summary: "place 31 of 34",
			Explanation: "3 workers fit it, none is free. Place 31 of 34.", Help: "add a worker: hodei worker token --help", Submitted: ago(168 * time.Second), Position: 48011,
			Spec: json.RawMessage(`{"resources":{"cpu":"4","memory":"8Gi"},"requires":{"arch":"amd64"}}`)},
		{ID: "4kq8wz2m", Name: "train-resnet", Namespace: "ml", State: "pending", Reason: "no_match", Summary: "gpu=a100", Submitted: ago(372 * time.Second), Position: 47518},
		{ID: "2m7xk4ra", Name: "build-web", Namespace: "web", State: "running", Attempt: 1, Worker: "m2c8v0xk", WorkerName: "atlas",
			Submitted: ago(482 * time.Second), Started: at(ago(331 * time.Second)), Position: 47350},
		{ID: "6wv0p3nc", Name: "test-e2e", Namespace: "web", State: "failed", Attempt: 1, Worker: "q7d3h1yb", WorkerName: "borea", Signal: "KILL", Priority: 10,
			Reason: "out_of_memory", Summary: "out_of_memory: 8.0 of 8 GiB", Submitted: ago(485022 * time.Millisecond), Started: at(ago(467738 * time.Millisecond)),
			Finished: at(ago(225610 * time.Millisecond)), Position: 47341, Usage: &wire.Usage{PeakMemory: ptr[uint64](8<<30 - 5<<20), PeakCPU: ptr(3.6)},
			Spec: json.RawMessage(`{"resources":{"cpu":"4","memory":"8Gi"},"requires":{"arch":"amd64"}}`),
			Steps: []wire.Step{{Step: 1, Name: "install", State: "succeeded", Seconds: 48.1}, {Step: 2, Name: "browser tests", State: "failed", Seconds: 194.2, Signal: "KILL"},
				{Step: 3, Name: "report", State: "skipped"}}},
		{ID: "e1v9z3kc", Name: "evil\x1b]0;owned\x07\u202e", Namespace: "web", State: "succeeded", Attempt: 2, WorkerName: "atlas",
			Submitted: ago(26 * time.Hour), Started: at(ago(26 * time.Hour)), Finished: at(ago(26*time.Hour - 90*time.Millisecond)), Position: 9},
	}
}

func fakeEvents() wire.Events {
	return wire.Events{Items: []wire.Event{
		{Position: 47341, Time: ago(485022 * time.Millisecond), Stream: "job-6wv0p3nc", Type: "JobSubmitted", Actor: "ci", Text: "submitted to web as test-e2e, needs 4 CPU"},
		{Position: 47358, Time: ago(467738 * time.Millisecond), Stream: "job-6wv0p3nc", Type: "JobStarted", Text: "started on q7d3h1yb, attempt 1",
			Data: json.RawMessage(`{"attempt":1,"worker_id":"q7d3h1yb"}`)},
		{Position: 47843, Time: ago(225610 * time.Millisecond), Stream: "job-6wv0p3nc", Type: "JobFailed", Text: "failed in step 2: out of memory\x1b[2J"},
		{Position: 47844, Time: ago(225600 * time.Millisecond), Stream: "worker-q7d3h1yb", Type: "WorkerDraining", Text: "draining", Data: json.RawMessage(`{}`)},
		{Position: 47845, Time: ago(225500 * time.Millisecond), Stream: "job-9d2mx7ht", Type: "JobBound", Text: "bound to m2c8v0xk as attempt 1; q7d3h1yb has 1 CPU free, needs 4; z9z9z9z9 is draining",
			Data: json.RawMessage(`{"worker_id":"m2c8v0xk","attempt":1,"decision":{"refused":[{"worker_id":"q7d3h1yb"},{"worker_id":"z9z9z9z9"}]}}`)},
		{Position: 47846, Time: ago(225400 * time.Millisecond), Stream: "worker-a1b2c3d4", Type: "WorkerRegistered", Text: "registered as new\x1b[2J, linux/amd64",
			Data: json.RawMessage(`{"facts":{"name":"new\u001b[2J"}}`)},
	}}
}

func fakeWorkers() wire.Workers {
	amount := func(cpu float64, gib float64) wire.Amount {
		return wire.Amount{CPU: cpu, Memory: uint64(gib * (1 << 30))}
	}
	used := func(cpu, gib float64) *wire.Amount { a := amount(cpu, gib); return &a }
	return wire.Workers{Items: []wire.Worker{
		{ID: "m2c8v0xk", Name: "atlas", State: "online", Since: ago(101 * time.Minute), OS: "linux", Arch: "amd64", Labels: map[string]string{"disk": "ssd"},
			Reserved: amount(14, 40), Used: used(11.8, 31), Capacity: amount(16, 64), Jobs: 3, Provider: "process", Version: "0.1.0", LastHeard: at(ago(2 * time.Second))},
		{ID: "q7d3h1yb", Name: "borea", State: "online", Since: ago(101 * time.Minute), OS: "linux", Arch: "amd64", Labels: map[string]string{"disk": "ssd"},
			Reserved: amount(16, 48), Used: used(15.2, 37), Capacity: amount(16, 64), Jobs: 3},
		{ID: "r8k2c5wd", Name: "delta", State: "online", Draining: true, Since: ago(312 * time.Second), OS: "linux", Arch: "arm64", Capacity: amount(4, 16)},
		{ID: "t0s4n6xe", State: "requested", Since: ago(3 * time.Second)},
	}}
}

func getWorker(w http.ResponseWriter, r *http.Request) {
	for _, worker := range fakeWorkers().Items {
		if named := r.PathValue("id"); worker.ID == named || worker.Name == named {
			answer(w, 200, worker)
			return
		}
	}
	p := wire.NewProblem(404, "not_found", "there is no worker "+r.PathValue("id"))
	p.Help = "the workers there are: hodei worker list"
	answer(w, 404, p)
}

func fakeQueue() wire.Queue {
	return wire.Queue{Waiting: 116, Backoff: 1, Items: []wire.Class{
		{Class: "c3", Namespace: "web", Waiting: 112, Oldest: at(ago(214 * time.Second)), Needs: wire.Needs{CPU: "4", Memory: "8Gi", Requires: map[string]string{"arch": "amd64"}}, Reason: "busy", Summary: "2 workers fit, none free"},
		{Class: "c6", Namespace: "sandbox", Waiting: 4, Oldest: at(ago(1036 * time.Second)), Needs: wire.Needs{CPU: "1"}, Reason: "paused", Summary: "namespace sandbox"},
	}}
}

func fakeSecrets(namespace string) wire.Secrets {
	page := wire.Secrets{Items: []wire.Secret{}}
	for _, s := range []wire.Secret{
		{Name: "db-password", Namespace: "web", Version: 3, SetAt: ago(26 * time.Hour), SetBy: "t0ken000"},
		{Name: "deploy-key", Namespace: "web", Version: 1, SetAt: ago(90 * time.Second), SetBy: "t0ken000"},
		{Name: "s3", Namespace: "ml", Version: 12, SetAt: ago(76 * time.Hour), SetBy: "system"},
	} {
		if namespace == "" || namespace == s.Namespace {
			page.Items = append(page.Items, s)
		}
	}
	return page
}

// setSecret answers with the next version, and refuses a value that the API does.
func (f *fake) setSecret(w http.ResponseWriter, r *http.Request) {
	var value struct {
		Value  string
		Base64 []byte
	}
	if err := json.NewDecoder(r.Body).Decode(&value); err != nil || value.Value == "" && value.Base64 == nil {
		answer(w, 422, wire.NewProblem(422, "invalid", "cannot set this secret: value: it is empty"))
		return
	}
	f.secrets = append(f.secrets, value.Value+string(value.Base64))
	answer(w, 200, wire.Secret{Name: r.PathValue("name"), Namespace: "default", Version: uint32(3 + len(f.secrets)), SetAt: fakeNow, SetBy: "t0ken000"})
}

// fake is a server of the made-up cluster. Its answers are those of the API;
// what it does not have answers as the API does.
type fake struct {
	*httptest.Server
	jobs    []wire.Job
	secrets []string // values that were set
	old     bool     // a server of an older version, without the queue
	brief   bool     // submissions are answered without their specs, as a server does

	seen chan struct{} // a value for each waiting line that was shown
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{jobs: fakeJobs(), seen: make(chan struct{}, 16)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/jobs", f.listJobs)
	mux.HandleFunc("GET /v1/jobs/{id}", f.withJob(func(w http.ResponseWriter, j *wire.Job) { answer(w, 200, j) }))
	mux.HandleFunc("GET /v1/jobs/{id}/events", f.withJob(func(w http.ResponseWriter, j *wire.Job) { answer(w, 200, eventsOf(j)) }))
	mux.HandleFunc("GET /v1/jobs/{id}/logs", f.logs)
	mux.HandleFunc("GET /v1/jobs/{id}/logs/steps", f.withJob(func(w http.ResponseWriter, j *wire.Job) { answer(w, 200, fakeSteps(j)) }))
	mux.HandleFunc("GET /v1/jobs/{id}/usage", fakeUsage)
	mux.HandleFunc("POST /v1/jobs/{id}/cancel", f.withJob(func(w http.ResponseWriter, j *wire.Job) {
		if j.Terminal() {
			answer(w, 409, wire.NewProblem(409, "refused", "cannot cancel job "+j.ID+": it has "+j.State+" already"))
			return
		}
		j.Cancelling = true
		answer(w, 200, j)
	}))
	mux.HandleFunc("POST /v1/jobs/{id}/rerun", f.rerun)
	mux.HandleFunc("POST /v1/jobs", f.submit)
	mux.HandleFunc("POST /v1/session/links", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 201, wire.Link{Path: "/login?once=Jd3kq", Expires: fakeNow.Add(10 * time.Minute)})
	})
	mux.HandleFunc("GET /v1/workers", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, fakeWorkers()) })
	mux.HandleFunc("GET /v1/workers/{id}", getWorker)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, wire.Ready{Ready: true, Position: 48213}) })
	mux.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, wire.Whoami{ID: "t0ken000", Name: "ana", Namespace: "*", Role: "operator", Expires: at(fakeNow.Add(50 * time.Hour)), Version: version})
	})
	mux.HandleFunc("POST /v1/workers/{id}/{what}", changeWorker)
	mux.HandleFunc("GET /v1/events", f.listEvents)
	mux.HandleFunc("GET /v1/secrets", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, fakeSecrets(r.URL.Query().Get("namespace")))
	})
	f.accessRoutes(mux)
	mux.HandleFunc("PUT /v1/secrets/{name}", f.setSecret)
	mux.HandleFunc("DELETE /v1/secrets/{name}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("name") != "db-password" {
			answer(w, 404, wire.NewProblem(404, "not_found", "cannot delete secret "+r.PathValue("name")+": there is no such secret"))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	serveSettings(mux)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"info":{"title":"Hodei Jobs","version":"0.0.9"}}`)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/queue" && !f.old {
			answer(w, 200, fakeQueue())
			return
		}
		answer(w, 404, wire.NewProblem(404, "not_found", "there is nothing at "+r.URL.Path))
	})
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open := r.URL.Path == "/livez" || r.URL.Path == "/readyz"; !open && r.Header.Get("Authorization") != "Bearer "+fakeToken {
			answer(w, 401, wire.NewProblem(401, "unauthenticated", "the server does not accept this token: unknown, expired or revoked"))
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

func (f *fake) listJobs(w http.ResponseWriter, r *http.Request) {
	if states := r.URL.Query().Get("state"); strings.Contains(states, "faild") {
		p := wire.NewProblem(422, "invalid", `query.state: "faild" is no state`)
		p.Errors = []wire.Detail{{Location: "query.state", Message: `"faild" is no state`}}
		answer(w, 422, p)
		return
	}
	states, page := r.URL.Query().Get("state"), wire.Jobs{Items: []wire.Job{}, Counts: wire.Counts{Waiting: 38, Running: 7, Ended: 120}, Next: "9"}
	for _, j := range f.jobs {
		j.Spec, j.Steps, j.Usage = nil, nil, nil
		if name := r.URL.Query().Get("name"); (states == "" || strings.Contains(states, j.State)) && (name == "" || name == j.Name) {
			page.Items = append(page.Items, j)
		}
	}
	if r.URL.Query().Get("cursor") != "" {
		page.Items, page.Next = nil, ""
	}
	answer(w, 200, page)
}

func (f *fake) listEvents(w http.ResponseWriter, r *http.Request) {
	q, page := r.URL.Query(), fakeEvents()
	page.Items = slices.DeleteFunc(page.Items, func(e wire.Event) bool { return !strings.HasPrefix(e.Stream, q.Get("stream")) })
	if q.Get("order") == "desc" {
		slices.Reverse(page.Items)
	}
	if q.Get("limit") == "1" {
		page.Items = page.Items[:1]
	}
	if cursor := q.Get("cursor"); strings.HasPrefix(cursor, "x") {
		p := wire.NewProblem(422, "invalid", "query.cursor: it is not a position such as 1234")
		p.Errors = []wire.Detail{{Location: "query.cursor", Message: "it is not a position such as 1234"}}
		answer(w, 422, p)
		return
	}
	answer(w, 200, page)
}

func (f *fake) withJob(fn func(http.ResponseWriter, *wire.Job)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, j := range slices.Backward(f.jobs) {
			if j.ID == r.PathValue("id") {
				fn(w, &j)
				return
			}
		}
		p := wire.NewProblem(404, "not_found", "there is no job "+r.PathValue("id"))
		p.Help = "the jobs there are: hodei job list"
		answer(w, 404, p)
	}
}

// submit answers with a job whose story the name chooses.
func (f *fake) submit(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Name string
		Argv []string
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &asked) != nil {
		answer(w, 422, wire.NewProblem(422, "invalid", "cannot submit job: it is not JSON"))
		return
	}
	if asked.Name == "" {
		asked.Name = asked.Argv[0]
	}
	if bytes.Contains(body, []byte(`"secrets"`)) {
		parsed, err := spec.Parse(body)
		if err != nil {
			answer(w, 422, wire.NewProblem(422, "invalid", err.Error()))
			return
		}
		body = spec.Shown(parsed.Canonical())
	}
	j := wire.Job{ID: "7f3k9qd2", Name: asked.Name, Namespace: "default", State: "pending", Submitted: fakeNow, Position: 48214, Spec: body}
	f.jobs = append(f.jobs, j)
	if f.brief {
		j.Spec = nil
	}
	answer(w, 201, j)
}

// logs answers what is asked of a job's output, with what was made up for it.
func (f *fake) logs(w http.ResponseWriter, r *http.Request) {
	f.withJob(func(w http.ResponseWriter, j *wire.Job) {
		q := r.URL.Query()
		switch {
		case q.Get("grep") == "(":
			p := wire.NewProblem(422, "invalid", "it is no regular expression: missing closing ) in (")
			p.Errors = []wire.Detail{{Location: "query.grep", Message: p.Detail}}
			answer(w, 422, p)
		case q.Get("step") == "deploy":
			p := wire.NewProblem(404, "not_found", "there is no step deploy in attempt 1, or it has not begun")
			p.Help = "the steps there are: 1 install, 2 browser tests, 3 report"
			answer(w, 404, p)
		case q.Get("grep") != "":
			answer(w, 200, fakeFound(q.Get("grep"), q.Get("cursor")))
		case r.Header.Get("Accept") == "text/plain":
			_, _ = io.WriteString(w, strings.Join(outputOf[j.Name], ""))
		default:
			story(w, j, q.Get("follow") != "false", func() { <-f.seen })
		}
	})(w, r)
}

// fakeSteps are the steps of test-e2e with their parts of its output.
func fakeSteps(j *wire.Job) wire.LogSteps {
	s := wire.LogSteps{Attempt: j.Attempt, Whole: j.Terminal(), Steps: []wire.LogStep{}}
	from := uint64(0)
	for i, step := range j.Steps {
		v := wire.LogStep{Step: step.Step, Name: step.Name, State: step.State, Signal: step.Signal, Seconds: step.Seconds}
		if i < len(outputOf[j.Name]) {
			to := from + uint64(len(outputOf[j.Name][i]))
			v.From, v.To = ptr(from), ptr(to)
			from = to
		}
		s.Steps = append(s.Steps, v)
	}
	s.Size = from
	return s
}

// fakeFound are the two pages of a search for Killed.
func fakeFound(pattern, cursor string) wire.LogSearch {
	found := wire.LogSearch{Attempt: 1, Lines: []wire.LogLine{}, Complete: true}
	line := func(number uint64, text string) wire.LogLine {
		return wire.LogLine{Line: number, Offset: 10 * number, End: 10*number + uint64(len(text)), Time: fakeNow, Text: text, Match: strings.Contains(text, pattern)}
	}
	switch {
	case pattern != "Killed":
	case cursor == "":
		found.Count, found.Next = 2, "14187.1"
		found.Lines = []wire.LogLine{line(14187, "✓ checkout › pays with card (2.1 s)"), line(14188, "Killed")}
	default:
		found.Count = 1
		found.Lines = []wire.LogLine{line(14201, "retry"), line(14202, "Killed\x1b[2J again")}
	}
	return found
}
