package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
)

// cutter is a server whose stream of numbered events breaks after so many of a
// connection, in a way of its own each time.
type cutter struct {
	events, each int
	connections  atomic.Int32
	end          bool // an end event follows the last
}

func (s *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.connections.Add(1)
	if n%4 == 0 {
		http.Error(w, "restarting", http.StatusServiceUnavailable)
		return
	}
	from, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	out := sse.NewWriter(w)
	out.Event("state", "", []byte(`{"id":"7f3k9qd2","state":"running"}`))
	for i := from + 1; i <= s.events; i++ {
		if i > from+s.each {
			_ = out.Flush()
			if n%3 == 0 {
				_, _ = fmt.Fprintf(w, "id: %d\ndata: {\"t\":\"half", i) // an event that was cut off
			}
			panic(http.ErrAbortHandler)
		}
		out.Event("", strconv.Itoa(i), fmt.Appendf(nil, `{"t":"%d ","position":%d}`, i, i))
	}
	if s.end {
		out.Event("end", "", []byte(`{"id":"7f3k9qd2","state":"succeeded"}`))
	}
	_ = out.Flush()
	if !s.end {
		<-r.Context().Done()
	}
}

// A job's output comes whole and once though the connection breaks again and again.
func TestFollowingAJobThroughCuts(t *testing.T) {
	s := &cutter{events: 20, each: 3, end: true}
	c := serve(t, s.ServeHTTP)
	var got, want strings.Builder
	for i := range s.events {
		fmt.Fprintf(&want, "%d ", i+1)
	}
	var lost, states int
	end, err := c.FollowJob(t.Context(), "7f3k9qd2", client.LogsQuery{}, client.Follower{
		State: func(j *wire.Job) { states++ },
		Log:   func(p *wire.LogPiece) error { got.Write(p.Bytes()); return nil },
		Lost: func(err error, wait time.Duration) {
			lost++
			var u *client.UnreachableError
			var p *wire.Problem
			if !errors.As(err, &u) && !errors.As(err, &p) || wait <= 0 {
				t.Errorf("told of %v, again in %s", err, wait)
			}
		},
	})
	if err != nil || end.State != "succeeded" || got.String() != want.String() {
		t.Errorf("%q, %+v, %v", got.String(), end, err)
	}
	if n := int(s.connections.Load()); lost != n-1 || states < 2 {
		t.Errorf("told of %d breaks and %d states on %d connections", lost, states, n)
	}
}

func TestFollowingEventsThroughCuts(t *testing.T) {
	s := &cutter{events: 12, each: 5}
	c := serve(t, s.ServeHTTP)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	at := uint64(0)
	err := c.FollowEvents(ctx, client.EventsQuery{}, func(e *wire.Event) error {
		if at++; e.Position != at {
			t.Errorf("after #%d comes #%d", at-1, e.Position)
		}
		if at == uint64(s.events) {
			cancel()
		}
		return nil
	}, nil)
	if !errors.Is(err, context.Canceled) || at != uint64(s.events) {
		t.Errorf("ended at #%d: %v", at, err)
	}
}

// What can't be mended by trying again is returned at once.
func TestAFollowingThatIsRefused(t *testing.T) {
	for status, want := range map[int]int{401: 1, 403: 1, 404: 1, 422: 1} {
		var asked int
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(status)
		})
		_, err := c.FollowJob(t.Context(), "x", client.LogsQuery{}, client.Follower{Log: func(*wire.LogPiece) error { return nil }})
		var p *wire.Problem
		if !errors.As(err, &p) || p.Status != status || asked != want {
			t.Errorf("%d: asked %d times: %v", status, asked, err)
		}
	}
}

func TestTheCallersErrorEndsAFollowing(t *testing.T) {
	c := serve(t, (&cutter{events: 5, each: 5, end: true}).ServeHTTP)
	enough := errors.New("enough")
	pieces := 0
	_, err := c.FollowJob(t.Context(), "x", client.LogsQuery{Attempt: 2}, client.Follower{Log: func(*wire.LogPiece) error {
		if pieces++; pieces == 2 {
			return enough
		}
		return nil
	}})
	if !errors.Is(err, enough) || pieces != 2 {
		t.Errorf("after %d pieces: %v", pieces, err)
	}
}

func TestAStreamThatIsNoJSON(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		out := sse.NewWriter(w)
		out.Event("", "1", []byte("nonsense"))
		_ = out.Flush()
	})
	_, err := c.FollowJob(t.Context(), "x", client.LogsQuery{}, client.Follower{Log: func(*wire.LogPiece) error { return nil }})
	if err == nil || !strings.Contains(err.Error(), "cannot read the log stream") {
		t.Errorf("%v", err)
	}
}

// transport answers without a network, so that time can be made up.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func imaginary(t *testing.T, f transport) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: "http://imaginary", HTTP: &http.Client{Transport: f}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// dead is a body that brings an event and then nothing, as a connection does that
// nobody closed.
type dead struct {
	*strings.Reader
	ctx context.Context
}

func (d *dead) Read(p []byte) (int, error) {
	if d.Len() > 0 {
		return d.Reader.Read(p)
	}
	<-d.ctx.Done()
	return 0, d.ctx.Err()
}

func (*dead) Close() error { return nil }

// A connection that nobody closed is given up after two heartbeats that did not
// come, and the following goes on with another.
func TestADeadConnectionIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		c := imaginary(t, func(r *http.Request) (*http.Response, error) {
			connections++
			stream := "id: 1\ndata: {\"t\":\"a\"}\n\n"
			if connections == 2 {
				stream = "event: end\ndata: {\"state\":\"failed\"}\n\n"
				if r.Header.Get("Last-Event-ID") != "1" {
					t.Errorf("it goes on after %q", r.Header.Get("Last-Event-ID"))
				}
			}
			return &http.Response{StatusCode: 200, Request: r, Body: &dead{strings.NewReader(stream), r.Context()}}, nil
		})
		begun := time.Now()
		end, err := c.FollowJob(t.Context(), "x", client.LogsQuery{}, client.Follower{Log: func(*wire.LogPiece) error { return nil }})
		if err != nil || end.State != "failed" || connections != 2 {
			t.Fatalf("%+v, %v on %d connections", end, err, connections)
		}
		if took := time.Since(begun); took < 2*sse.Heartbeat || took > 3*sse.Heartbeat {
			t.Errorf("it took %s", took)
		}
	})
}

// Without patience a server that is away is waited for; with it, not for longer.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := imaginary(t, func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
		tries, longest := 0, time.Duration(0)
		begun := time.Now()
		_, err := c.FollowJob(t.Context(), "x", client.LogsQuery{}, client.Follower{
			Log:      func(*wire.LogPiece) error { return nil },
			Lost:     func(_ error, wait time.Duration) { tries++; longest = max(longest, wait) },
			Patience: time.Minute,
		})
		var u *client.UnreachableError
		if took := time.Since(begun); !errors.As(err, &u) || took < time.Minute || took > 70*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
		if tries < 15 || longest > 4*time.Second+time.Millisecond {
			t.Errorf("%d tries, the longest wait was %s", tries, longest)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if _, err := c.FollowJob(ctx, "x", client.LogsQuery{}, client.Follower{Log: func(*wire.LogPiece) error { return nil }}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with all patience: %v", err)
		}
	})
}
