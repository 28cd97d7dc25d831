package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
)

func follow(t *testing.T, c *client.Client, jobID string) (*wire.Job, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var text strings.Builder
	end, err := c.FollowJob(ctx, jobID, 0, client.Follower{Log: func(p *wire.LogPiece) error {
		text.Write(p.Bytes())
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return end, text.String()
}

// A follower sees a job from before it runs to its end, through a retry.
func TestAFollowerSeesEveryAttempt(t *testing.T) {
	s := newSite(t)
	c := s.client(s.token(token.AllNamespaces, token.Admin))
	j := s.submit(c, `{"command":"x","retries":{"max":1}}`)
	type result struct {
		end  *wire.Job
		text string
	}
	done := make(chan result)
	go func() {
		end, text := follow(t, c, j.ID)
		done <- result{end, text}
	}()
	s.run(j.ID, 1, "one\xff\n", failed(1))
	s.run(j.ID, 2, "two\n", succeeded())
	got := <-done
	if got.end.State != "succeeded" || got.end.Attempt != 2 || got.text != "one\xff\ntwo\n" {
		t.Errorf("ended as %s in attempt %d, output %q", got.end.State, got.end.Attempt, got.text)
	}
	var first strings.Builder
	if err := c.Logs(t.Context(), j.ID, 1, &first); err != nil || first.String() != "one\xff\n" {
		t.Errorf("the first attempt's output is %q, %v", first.String(), err)
	}
}

// Last-Event-ID goes on in the middle of a piece.
func TestAStreamGoesOnAfterAnyByte(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	j := s.submit(s.client(s.token(token.AllNamespaces, token.Admin)), `{"command":"x"}`)
	const output = "0123456789"
	s.run(j.ID, 1, output, succeeded())
	for have := range len(output) + 1 {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v1/jobs/"+j.ID+"/logs", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+plain)
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Last-Event-ID", logID(1, uint64(have)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var rest, last string
		for r := sse.NewReader(resp.Body); ; {
			e, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if e.Name == "end" {
				break
			}
			if e.Name == "message" {
				p := decode[wire.LogPiece](t, e.Data)
				rest, last = rest+string(p.Bytes()), e.ID
			}
		}
		resp.Body.Close()
		if rest != output[have:] || rest != "" && last != logID(1, uint64(len(output))) {
			t.Errorf("after %d bytes came %q with id %s", have, rest, last)
		}
	}
}

// Streams end when the server stops, also those of jobs that wait.
func TestStreamsEndWithTheServer(t *testing.T) {
	s := newSite(t)
	c := s.client(s.token(token.AllNamespaces, token.Admin))
	j := s.submit(c, `{"command":"x"}`)
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v1/jobs/"+j.ID+"/logs", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token(token.AllNamespaces, token.Viewer))
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := sse.NewReader(resp.Body)
	if e, err := r.Next(); err != nil || e.Name != "state" {
		t.Fatalf("%+v, %v", e, err)
	}
	close(s.stop)
	s.stop = make(chan struct{}) // closed again at the end
	for {
		if _, err := r.Next(); err != nil {
			return
		}
	}
}

// A job cancelled before it ran has an end and no output.
func TestAJobThatNeverRanHasAnEnd(t *testing.T) {
	s := newSite(t)
	c := s.client(s.token(token.AllNamespaces, token.Admin))
	j := s.submit(c, `{"command":"x"}`)
	if _, err := c.CancelJob(t.Context(), j.ID, "changed my mind"); err != nil {
		t.Fatal(err)
	}
	end, text := follow(t, c, j.ID)
	if end.State != "cancelled" || text != "" || !strings.Contains(end.Summary, "changed my mind") {
		t.Errorf("ended as %s (%s), output %q", end.State, end.Summary, text)
	}
}

// The event stream leaves nothing out and repeats nothing when it is resumed.
func TestTheEventStreamIsWhole(t *testing.T) {
	s := newSite(t)
	c := s.client(s.token(token.AllNamespaces, token.Admin))
	for range 20 {
		s.submit(c, `{"command":"x"}`)
	}
	head, _ := s.store.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	at := uint64(0)
	err := c.FollowEvents(ctx, client.EventsQuery{}, func(e *wire.Event) error {
		if e.Position != at+1 || e.Text == "" || e.Type == "" {
			t.Errorf("after #%d came %+v", at, e)
		}
		if at = e.Position; at == uint64(head) {
			cancel()
		}
		return nil
	}, nil)
	if at != uint64(head) {
		t.Errorf("ended at #%d of #%d: %v", at, head, err)
	}
}
