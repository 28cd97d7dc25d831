package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// failing serves one request with a handler below the API's own recovery, and
// returns the status and how reading the answer ended.
func (s *site) failing(handler func(http.ResponseWriter)) (status int, reading error) {
	s.t.Helper()
	e := echo.New()
	e.HTTPErrorHandler = s.server.routeError
	e.Use(s.server.recover)
	e.GET("/", func(c echo.Context) error {
		handler(c.Response())
		return nil
	})
	server := httptest.NewServer(e)
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, reading = io.ReadAll(resp.Body)
	return resp.StatusCode, reading
}

// Streams end when the server stops, also those of jobs that wait.
func TestStreamsEndWithTheServer(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	waiting, running := s.submit(c, `{"command":"x"}`), s.submit(c, `{"command":"x"}`)
	s.start(running.ID, 1).print(1, "so far\n")
	plain := s.token(token.AllNamespaces, token.Viewer)
	readers := []*sse.Reader{
		s.events("/v1/jobs/"+waiting.ID+"/logs", plain), s.events("/v1/jobs/"+running.ID+"/logs", plain), s.events("/v1/events", plain),
	}
	for i, name := range []string{"state", "message", "message"} {
		next(t, readers[i], name)
	}
	close(s.stop)
	s.stop = make(chan struct{}) // closed again at the end
	for i, r := range readers {
		for {
			e, err := r.Next()
			if err != nil {
				break
			}
			if e.Name == "end" {
				t.Errorf("stream %d tells of an end that was not", i)
			}
		}
	}
}

// A stream ends soon after its token was revoked.
func TestAStreamEndsWithItsToken(t *testing.T) {
	s := newSite(t)
	plain, i := s.create(token.Create{Name: "short", Namespace: token.AllNamespaces, Role: token.Viewer})
	p := principal{}
	if bad := s.server.identify("Bearer "+plain, &p); bad != nil {
		t.Fatal(bad)
	}
	ctx := context.WithValue(t.Context(), principalKey{}, &p)
	if s.server.over(ctx) {
		t.Error("it ends at once")
	}
	if _, err := s.commands.RevokeToken(t.Context(), tester, i, ""); err != nil {
		t.Fatal(err)
	}
	if !s.server.over(ctx) {
		t.Error("it goes on")
	}
}

func TestStreamsAreLimited(t *testing.T) {
	const most, mostEach = 300, 7
	s := &newServer(Config{MaxStreams: most, MaxTokenStreams: mostEach}, nil).streams
	for i := range mostEach {
		if p := s.enter("one"); p != nil {
			t.Fatalf("stream %d: %v", i, p)
		}
	}
	if p := s.enter("one"); p == nil || p.Status != http.StatusTooManyRequests {
		t.Errorf("one token has more: %v", p)
	}
	for i := range most - mostEach {
		if p := s.enter(fmt.Sprint(i % 50)); p != nil {
			t.Fatalf("stream %d: %v", i, p)
		}
	}
	if p := s.enter("another"); p == nil || p.Status != http.StatusTooManyRequests || p.Help == "" {
		t.Errorf("there are more than may be: %v", p)
	}
	s.leave("one")
	if p := s.enter("another"); p != nil {
		t.Errorf("a place that is free is not given: %v", p)
	}
}

// All readers of one job get all of its output, those too that come late.
func TestManyReadersOfOneJob(t *testing.T) {
	readers, lines := 1000, 400
	if testing.Short() {
		readers, lines = 100, 200
	}
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	plain := s.token("default", token.Viewer)
	a := s.start(j.ID, 1)
	var want strings.Builder
	var group sync.WaitGroup
	ended := make(chan streamed, readers)
	for i := range lines {
		if n := readers / 2; i == 0 || i == lines/2 { // half of them from the first line, half from the middle
			for range n {
				group.Go(func() { ended <- collect(t, s.events("/v1/jobs/"+j.ID+"/logs", plain)) })
			}
		}
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		a.print(1, line)
	}
	a.finish(succeeded())
	group.Wait()
	close(ended)
	for got := range ended {
		if got.output != want.String() || got.end.State != "succeeded" {
			t.Fatalf("a reader got %d bytes of %d, ended as %s", len(got.output), want.Len(), got.end.State)
		}
	}
}

// A reader that stopped reading holds up neither the job's output nor others.
func TestAReaderThatStopped(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	plain := s.token("default", token.Viewer)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /v1/jobs/%s/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: %s\r\n\r\n", j.ID, plain, streamType); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil { // and no more
		t.Fatal(err)
	}
	r := s.events("/v1/jobs/"+j.ID+"/logs", plain)
	a := s.start(j.ID, 1)
	const size = 16 << 20 // more than any buffer between them
	a.print(1, strings.Repeat("x", size))
	a.finish(succeeded())
	if got := collect(t, r); len(got.output) != size {
		t.Errorf("another reader got %d bytes of %d", len(got.output), size)
	}
	if have := s.logs.Durable(joblog.Key{Job: parseID(t, j.ID), Attempt: 1}); have != size {
		t.Errorf("%d bytes of %d are durable", have, size)
	}
}

// A stream whose client has left is given up.
func TestAStreamWhoseClientLeft(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	ctx, leave := context.WithCancel(context.WithValue(t.Context(), principalKey{}, &principal{}))
	in := &logsInput{Accept: streamType}
	seen, _ := s.runner.World().Jobs.ByID(parseID(t, j.ID))
	f := &logFollower{server: s.server, job: seen, key: joblog.Key{Job: seen.ID, Attempt: in.Attempt}, to: joblog.MaxOffset}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.run(ctx, sse.NewWriter(newRecorder()))
	}()
	leave()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}

// The event stream leaves nothing out and repeats nothing when it is resumed.
func TestTheEventStreamIsWhole(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	plain := s.token(token.AllNamespaces, token.Viewer)
	for range 20 {
		s.submit(c, `{"command":"x"}`)
	}
	head, _ := s.store.Wait()
	last := ""
	at := uint64(0)
	for at < uint64(head)+10 { // three events a connection, some of them recorded meanwhile
		headers := []string{}
		if last != "" {
			headers = []string{"Last-Event-ID", last}
		}
		r := s.events("/v1/events", plain, headers...)
		for range 3 {
			s.submit(c, `{"command":"x"}`)
			e := next(t, r, "message")
			got := decode[wire.Event](t, e.Data)
			if got.Position != at+1 || e.ID != fmt.Sprint(got.Position) || got.Text == "" || got.Type == "" {
				t.Fatalf("after #%d came %s: %s", at, e.ID, e.Data)
			}
			at, last = got.Position, e.ID
		}
	}
}

// What an event tells is what reads show when it comes.
func TestAnEventIsNotSentBeforeReadsIncludeIt(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	head, _ := s.store.Wait()
	r := s.events("/v1/events", s.token(token.AllNamespaces, token.Viewer), "Last-Event-ID", fmt.Sprint(head))
	for range 50 {
		j := s.submit(c, `{"command":"x"}`)
		for {
			e := decode[wire.Event](t, next(t, r, "message").Data)
			if at := s.runner.World().Position; uint64(at) < e.Position {
				t.Fatalf("event #%d came while reads were at #%d", e.Position, at)
			}
			if e.Stream == "job-"+j.ID {
				break
			}
		}
	}
}

func TestTheEventStreamIsFiltered(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	plain := s.token(token.AllNamespaces, token.Viewer)
	var jobs []string
	for range 10 {
		j := s.submit(c, `{"command":"x"}`)
		s.run(j.ID, 1, "", failed(1))
		jobs = append(jobs, j.ID)
	}
	r := s.events("/v1/events?type=JobFailed,JobBound&stream=job-"+jobs[3], plain)
	for _, want := range []string{"JobBound", "JobFailed"} {
		if e := decode[wire.Event](t, next(t, r, "message").Data); e.Type != want || e.Stream != "job-"+jobs[3] {
			t.Errorf("got %s of %s, want %s", e.Type, e.Stream, want)
		}
	}
	r = s.events("/v1/events?type=JobFailed", plain)
	for i := range jobs {
		if e := decode[wire.Event](t, next(t, r, "message").Data); e.Type != "JobFailed" || e.Stream != "job-"+jobs[i] {
			t.Errorf("failure %d: %s of %s", i, e.Type, e.Stream)
		}
	}
}

func TestPagesOfEvents(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	plain := s.token(token.AllNamespaces, token.Viewer)
	for range 30 {
		s.submit(c, `{"command":"x"}`)
	}
	head, _ := s.store.Wait()
	at := uint64(0)
	for cursor := ""; ; {
		status, _, body := s.request("GET", "/v1/events?limit=7&cursor="+cursor, plain, "")
		page := decode[wire.Events](t, body)
		if status != 200 || len(page.Items) > 7 {
			t.Fatalf("%d: %s", status, body)
		}
		for _, e := range page.Items {
			if e.Position != at+1 {
				t.Fatalf("after #%d comes #%d", at, e.Position)
			}
			at = e.Position
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if at != uint64(head) {
		t.Errorf("the last page ends at #%d of #%d", at, head)
	}
	_, _, body := s.request("GET", "/v1/events?limit=5&order=desc&type=JobSubmitted", plain, "")
	page := decode[wire.Events](t, body)
	if len(page.Items) != 5 || page.Items[0].Position != uint64(head) || page.Items[0].Type != "JobSubmitted" {
		t.Errorf("the newest: %s", body)
	}
	at = uint64(head) + 1
	for cursor := ""; ; {
		_, _, body := s.request("GET", "/v1/events?limit=7&order=desc&cursor="+cursor, plain, "")
		page := decode[wire.Events](t, body)
		for _, e := range page.Items {
			if at--; e.Position != at {
				t.Fatalf("before #%d comes #%d", at+1, e.Position)
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if at != 1 {
		t.Errorf("backwards the last page ends at #%d", at)
	}
}
