package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

func follow(t *testing.T, c *client.Client, jobID string) (*wire.Job, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var text strings.Builder
	end, err := c.FollowJob(ctx, jobID, client.LogsQuery{}, client.Follower{Log: func(p *wire.LogPiece) error {
		text.Write(p.Bytes())
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return end, text.String()
}

// streamed is what a stream brought until its end.
type streamed struct {
	states []string // with their attempts, such as running 1
	output string
	ids    []uint64
	end    *wire.Job
}

// collect reads a log's stream to its end.
func collect(t *testing.T, r *sse.Reader) (out streamed) {
	t.Helper()
	for {
		e, err := r.Next()
		if err != nil {
			t.Fatalf("the stream ended without an end: %v", err)
		}
		switch e.Name {
		case "message":
			p := decode[wire.LogPiece](t, e.Data)
			if (p.T == "") == (p.B == nil) {
				t.Errorf("a piece is not either text or bytes: %s", e.Data)
			}
			n, err := strconv.ParseUint(e.ID, 10, 64)
			if err != nil {
				t.Error(err)
			}
			out.output, out.ids = out.output+string(p.Bytes()), append(out.ids, n)
		case "state":
			j := decode[wire.Job](t, e.Data)
			out.states = append(out.states, fmt.Sprintf("%s %d", j.State, j.Attempt))
		case "end":
			j := decode[wire.Job](t, e.Data)
			out.end = &j
			return out
		}
	}
}

// A follower sees a job from before it runs to its end, through a retry.
func TestAFollowerSeesEveryAttempt(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	j := s.submit(c, `{"command":"x","retries":{"max":1}}`)
	r := s.events("/v1/jobs/"+j.ID+"/logs", s.token("default", token.Viewer))
	next(t, r, "state")
	done := make(chan streamed, 1)
	go func() { done <- collect(t, r) }()
	s.run(j.ID, 1, "one\xff\n", failed(1))
	s.run(j.ID, 2, "two\n", succeeded())
	got := <-done
	if got.end.State != "succeeded" || got.end.Attempt != 2 || got.end.ExitCode == nil || got.end.Spec != nil || got.output != "one\xff\ntwo\n" {
		t.Errorf("ended as %+v, output %q", got.end, got.output)
	}
	for _, id := range got.ids {
		if attempt, offset := id>>40, id&(1<<40-1); attempt < 1 || attempt > 2 || offset == 0 || offset > 5 {
			t.Errorf("an event has id %d: attempt %d, offset %d", id, attempt, offset)
		}
	}
	for attempt, want := range map[uint32]string{0: "two\n", 1: "one\xff\n", 2: "two\n"} {
		var log strings.Builder
		if err := c.Logs(t.Context(), j.ID, client.LogsQuery{Attempt: attempt}, &log); err != nil || log.String() != want {
			t.Errorf("attempt %d's output is %q, %v", attempt, log.String(), err)
		}
	}
	first := collect(t, s.events("/v1/jobs/"+j.ID+"/logs?attempt=1", s.token("default", token.Viewer)))
	if first.output != "one\xff\n" || first.end.State != "succeeded" {
		t.Errorf("the first attempt's stream: %q, then %s", first.output, first.end.State)
	}
}

// States come as they change, each once, and never after the end.
func TestStatesOfAStream(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	j := s.submit(c, `{"command":"x"}`)
	r := s.events("/v1/jobs/"+j.ID+"/logs", s.token("default", token.Viewer))
	if e := next(t, r, "state"); decode[wire.Job](t, e.Data).State != "pending" {
		t.Errorf("at first: %s", e.Data)
	}
	a := s.start(j.ID, 1)
	for e := next(t, r, "state"); ; e = next(t, r, "state") { // bound may be seen or not
		v := decode[wire.Job](t, e.Data)
		if v.State == "running" {
			if v.Started == nil || v.Worker == "" || v.Attempt != 1 || v.Spec != nil {
				t.Errorf("running: %s", e.Data)
			}
			break
		}
	}
	if _, err := c.CancelJob(t.Context(), j.ID, "enough"); err != nil {
		t.Fatal(err)
	}
	if e := next(t, r, "state"); !decode[wire.Job](t, e.Data).Cancelling {
		t.Errorf("after a cancellation: %s", e.Data)
	}
	a.print(1, "bye\n")
	a.finish(job.Finish{Outcome: job.OutcomeCancelled, Ending: ending(143)})
	rest := collect(t, r)
	if len(rest.states) > 0 || rest.output != "bye\n" || rest.end.State != "cancelled" || rest.end.Finished == nil {
		t.Errorf("%q, states %s, ended as %+v", rest.output, rest.states, rest.end)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

// Last-Event-ID goes on after any byte, also in the middle of a piece or of a
// character.
func TestAStreamGoesOnAfterAnyByte(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	j := s.submit(s.admin(), `{"command":"x"}`)
	const output = "0123é€56789\n"
	a := s.start(j.ID, 1)
	a.print(1, output[:4])
	a.print(1, output[4:])
	a.finish(succeeded())
	for have := range len(output) + 1 {
		got := collect(t, s.events("/v1/jobs/"+j.ID+"/logs", plain, "Last-Event-ID", logID(1, uint64(have))))
		if got.output != output[have:] || have < len(output) && got.ids[len(got.ids)-1] != 1<<40+uint64(len(output)) {
			t.Errorf("after %d bytes came %q with ids %v", have, got.output, got.ids)
		}
	}
	// An id above what there is: the server died before the bytes were durable.
	if got := collect(t, s.events("/v1/jobs/"+j.ID+"/logs", plain, "Last-Event-ID", logID(1, 1000))); got.output != "" {
		t.Errorf("after more than there is came %q", got.output)
	}
}

// Bytes are text if they can be, else base64; standard error is marked.
func TestPiecesOfALog(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	a := s.start(j.ID, 1)
	a.print(1, "text\r\n\x1b[31mred\x00\x7f\u2028\n")
	a.print(2, "warning\n")
	a.print(1, string(all[:]))
	a.print(1, "\ndata: forged\n\nid: 1\n\n")
	a.finish(succeeded())
	plain := s.token("default", token.Viewer)
	r := s.events("/v1/jobs/"+j.ID+"/logs", plain)
	var pieces []wire.LogPiece
	for range 4 {
		pieces = append(pieces, decode[wire.LogPiece](t, next(t, r, "message").Data))
	}
	switch {
	case pieces[0].T != "text\r\n\x1b[31mred\x00\x7f\u2028\n" || pieces[0].Stderr || pieces[0].Time == 0:
		t.Errorf("text: %+v", pieces[0])
	case pieces[1].T != "warning\n" || !pieces[1].Stderr:
		t.Errorf("standard error: %+v", pieces[1])
	case string(pieces[2].B) != string(all[:]) || pieces[2].T != "":
		t.Errorf("bytes: %+v", pieces[2])
	case pieces[3].T != "\ndata: forged\n\nid: 1\n\n":
		t.Errorf("text that looks like events: %+v", pieces[3])
	}
	next(t, r, "end")
	var log strings.Builder
	if err := s.admin().Logs(t.Context(), j.ID, client.LogsQuery{}, &log); err != nil || log.Len() != int(a.head) || !strings.Contains(log.String(), string(all[:])) {
		t.Errorf("as text: %d bytes of %d, %v", log.Len(), a.head, err)
	}
}

// A log of many pieces is read whole, and its length is known before.
func TestALargeLogIsWhole(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	data := make([]byte, 3<<20+17)
	random := rand.NewChaCha8([32]byte{7})
	_, _ = random.Read(data)
	a := s.start(j.ID, 1)
	a.print(1, string(data))
	plain := s.token("default", token.Viewer)
	for _, when := range []string{"running", "ended"} {
		resp := s.get("/v1/jobs/"+j.ID+"/logs", plain)
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != string(data) || resp.ContentLength != int64(len(data)) || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d bytes of %d, length %d, %v, %v", when, len(got), len(data), resp.ContentLength, resp.Header, err)
		}
		if when == "running" {
			a.finish(succeeded())
		}
	}
	if got := collect(t, s.events("/v1/jobs/"+j.ID+"/logs", plain)); got.output != string(data) || len(got.ids) > 4*len(data)/joblog.MaxPiece {
		t.Errorf("as a stream: %d bytes of %d in %d events", len(got.output), len(data), len(got.ids))
	}
}

// HEAD says how long a log is and how a stream would begin, and sends neither.
func TestHead(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	j := s.submit(s.admin(), `{"command":"x"}`)
	s.run(j.ID, 1, "12345", succeeded())
	for path, want := range map[string]int64{"/v1/jobs/" + j.ID + "/logs": 5, "/v1/jobs/" + j.ID: -1, "/v1/events": -1, "/livez": -1, "/docs": -1} {
		for _, accept := range []string{"*/*", streamType} {
			req, err := http.NewRequestWithContext(t.Context(), "HEAD", s.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+plain)
			req.Header.Set("Accept", accept)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode >= 300 || accept == "*/*" && want >= 0 && resp.ContentLength != want {
				t.Errorf("%s: %s, length %d", path, resp.Status, resp.ContentLength)
			}
		}
	}
	if status, _, _ := s.request("HEAD", "/v1/jobs", "", ""); status != 401 {
		t.Errorf("without a token: %d", status)
	}
}

// A job cancelled before it ran has an end and no output.
func TestAJobThatNeverRanHasAnEnd(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	j := s.submit(c, `{"command":"x"}`)
	var log strings.Builder
	if err := c.Logs(t.Context(), j.ID, client.LogsQuery{}, &log); err != nil || log.Len() != 0 {
		t.Errorf("a job that waits: %q, %v", log.String(), err)
	}
	if _, err := c.CancelJob(t.Context(), j.ID, "changed my mind"); err != nil {
		t.Fatal(err)
	}
	end, text := follow(t, c, j.ID)
	if end.State != "cancelled" || text != "" || !strings.Contains(end.Summary, "changed my mind") {
		t.Errorf("ended as %s (%s), output %q", end.State, end.Summary, text)
	}
}

// A follower whose job ends and leaves memory before it looks again still tells
// the end.
func TestAFollowerWhoseJobHasLeftMemory(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	s.keepFinished(1)
	j := s.submit(c, `{"command":"x"}`)
	seen, ok := s.runner.World().Jobs.ByID(parseID(t, j.ID))
	if !ok {
		t.Fatal("there is no such job")
	}
	s.run(j.ID, 1, "output\n", failed(1))
	s.forget(c, j.ID)
	rec := newRecorder()
	f := &logFollower{server: s.server, job: seen, key: joblog.Key{Job: seen.ID}, to: joblog.MaxOffset, out: sse.NewWriter(rec)}
	if _, done := f.advance(t.Context()); !done || f.out.Flush() != nil {
		t.Fatal("it goes on")
	}
	got := collect(t, sse.NewReader(rec.Body))
	if got.output != "output\n" || got.end.State != "failed" {
		t.Errorf("%q, ended as %s", got.output, got.end.State)
	}
}

// An answer that had begun when its handler gave up is cut off, such that nobody
// takes a part for the whole.
func TestATruncatedAnswerIsCutOff(t *testing.T) {
	s := newSite(t)
	for name, panics := range map[string]any{"a handler that gave up": http.ErrAbortHandler, "a handler that panicked": "a bug"} {
		status, body := s.failing(func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "a part")
			_ = http.NewResponseController(w).Flush()
			panic(panics)
		})
		if status != 200 || body == nil {
			t.Errorf("%s: %d, and the answer seemed whole", name, status)
		}
	}
	if status, body := s.failing(func(http.ResponseWriter) { panic("a bug") }); status != 500 || body != nil {
		t.Errorf("a handler that panicked before its answer: %d, %v", status, body)
	}
	if logged := s.failures.take(); len(logged) != 2 || !strings.Contains(logged[0], "a bug") {
		t.Errorf("it is logged as %q", logged)
	}
}
