package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/projections"
)

// gate holds up those who read the log while it is shut.
type gate struct {
	eventstore.Store
	mu   sync.Mutex
	open chan struct{} // closed while it is open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) ReadAll(ctx context.Context, into []*eventstore.Record, from eventstore.Position, most int, f eventstore.Filter) ([]*eventstore.Record, eventstore.Position, error) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
		return nil, from, ctx.Err()
	}
	return g.Store.ReadAll(ctx, into, from, most, f)
}

// wide is a disk that is full when a test says so.
type wide struct {
	wal.Disk
	full atomic.Bool
}

func (d *wide) Segment(dir string) (wal.Segment, error) {
	s, err := d.Disk.Segment(dir)
	return wideSegment{s, d}, err
}

type wideSegment struct {
	wal.Segment
	disk *wide
}

func (s wideSegment) Write(frame []byte) error {
	if s.disk.full.Load() {
		return unix.ENOSPC
	}
	return s.Segment.Write(frame)
}

// writes are the routes that append, each with a body that would be taken.
func writes(job string) map[string]string {
	return map[string]string{
		"POST /v1/jobs": `{"command":"true"}`, "POST /v1/jobs:batch": `{"jobs":[{"command":"true"},{"command":"false"}]}`,
		"POST /v1/jobs/" + job + "/cancel": `{}`, "PUT /v1/secrets/db": `{"value":"x"}`, "PATCH /v1/settings": `{"policy":"leastloaded"}`,
	}
}

// refusedNow sends the requests at once; each must be refused for now, and none
// recorded.
func (s *site) refusedNow(plain string, requests map[string]string, status int, kind, why string) {
	s.t.Helper()
	before, _ := s.store.Wait()
	var all sync.WaitGroup
	for route, body := range requests {
		all.Go(func() {
			method, path, _ := strings.Cut(route, " ")
			if err := s.refusesNow(method, path, plain, body, status, kind, why); err != nil {
				s.t.Errorf("%s: %v", route, err)
			}
		})
	}
	all.Wait()
	if after, _ := s.store.Wait(); after != before {
		s.t.Errorf("%d events were recorded", after-before)
	}
}

func (s *site) refusesNow(method, path, plain, body string, status int, kind, why string) error {
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+plain)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var p wire.Problem
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("%s: %w: %s", resp.Status, err, text)
	}
	if resp.StatusCode != status || resp.Header.Get("Content-Type") != problemType || resp.Header.Get("Retry-After") != retryAfterText || p.Kind != kind || !strings.Contains(p.Detail, why) {
		return fmt.Errorf("%s, Retry-After %q: %s", resp.Status, resp.Header.Get("Retry-After"), text)
	}
	return nil
}

// A server whose World is too far behind its log answers commands with 429 and when
// to come back, and records nothing; it goes on when the World has caught up.
func TestBackPressure(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	s := newSiteOn(t, embedded.Config{}, func(store eventstore.Store) eventstore.Store { g.Store = store; return g })
	plain := s.token(token.AllNamespaces, token.Admin)
	j := s.submit(s.client(plain), `{"command":"true"}`)
	g.shut()
	s.flood(projections.MaxLag + 1)
	s.refusedNow(plain, writes(j.ID), http.StatusTooManyRequests, "busy", "events behind the log")
	if status, _, body := s.request("GET", "/v1/jobs/"+j.ID, plain, ""); status != http.StatusOK {
		t.Errorf("meanwhile a job is read with %d: %s", status, body)
	}
	close(g.open)
	head, _ := s.store.Wait()
	if err := s.runner.WaitFor(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	s.submit(s.client(plain), `{"command":"true"}`)
}

// flood appends n events that no World shows.
func (s *site) flood(n int) {
	s.t.Helper()
	var ids eventstore.EventIDs
	e := &eventv1.ClockStepped{StepNs: 1}
	for n > 0 {
		batch := eventstore.Batch{Stream: "server-" + eventstore.StreamID(s.id().String()), Expect: eventstore.Any}
		first := ids.New(s.store.Now())
		for i := range min(n, 1000) {
			batch.Events = append(batch.Events, eventstore.Event{ID: first.Add(i), Type: event.TypeOf(e), Data: event.Encode(e)})
		}
		if _, err := s.store.Append(s.t.Context(), batch); err != nil {
			s.t.Fatal(err)
		}
		n -= len(batch.Events)
	}
}

// A server with a full disk answers commands with 503 and when to come back, and
// records nothing but how things end; it goes on when there is room again.
func TestAFullDisk(t *testing.T) {
	disk := new(wide)
	var ahead atomic.Int64
	s := newSiteOn(t, embedded.Config{
		Files: disk, ReserveBytes: 1 << 20, Essential: []string{"JobCancelRequested", "JobCancelled"},
		Clock: func() time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(ahead.Add(1000))) },
	}, nil)
	plain := s.token(token.AllNamespaces, token.Admin)
	j := s.submit(s.client(plain), `{"command":"true"}`)
	all := writes(j.ID)
	disk.full.Store(true)
	s.refusedNow(plain, all, http.StatusServiceUnavailable, "unavailable", "is full")

	disk.full.Store(false) // as the reserve is given up
	cancel := "/v1/jobs/" + j.ID + "/cancel"
	delete(all, "POST "+cancel)
	s.refusedNow(plain, all, http.StatusServiceUnavailable, "unavailable", "is full")
	if status, _, body := s.request("POST", cancel, plain, "{}"); status != http.StatusOK || decode[wire.Job](t, body).State != "cancelled" {
		t.Errorf("a job is cancelled with %d: %s", status, body)
	}
	ahead.Add(int64(2 * time.Second))
	s.submit(s.client(plain), `{"command":"true"}`)
}
