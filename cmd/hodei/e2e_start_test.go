package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
)

// manyEvents take a start without index and snapshots some tenths of a second.
const manyEvents = 300_000

// fill appends many events to the log of a server that is stopped, and removes
// what makes a start short.
func (c *cluster) fill() {
	c.t.Helper()
	dir := filepath.Join(c.dir, "data", "events")
	store, _, err := embedded.Open(c.t.Context(), embedded.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		c.t.Fatal(err)
	}
	<-store.Ready()
	var ids eventstore.EventIDs
	data := make([]byte, 50)
	for i := 0; i < manyEvents; i += eventstore.MaxEventsAppend {
		b := eventstore.Batch{Stream: eventstore.StreamID(fmt.Sprintf("other-%d", i)), Expect: eventstore.NoStream}
		first := ids.New(store.Now())
		for k := range eventstore.MaxEventsAppend {
			b.Events = append(b.Events, eventstore.Event{ID: first.Add(k), Type: "Other", Data: data})
		}
		if _, err := store.Append(c.t.Context(), b); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		c.t.Fatal(err)
	}
	for _, name := range []string{"index", "snapshots"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// look asks for a path and returns what was answered, status first.
func (c *cluster) look(ctx context.Context, path string) string {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.http+path, nil)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	return fmt.Sprint(response.StatusCode, " ", string(body))
}

// A server whose read models and index are made anew answers meanwhile: it lives,
// it is not ready and says how far it is; then all works.
func TestAServerThatIsRebuiltAnswers(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.stop(syscall.SIGTERM)
	c.fill()
	ctx, cancel := context.WithCancel(t.Context())
	paths := []string{"/livez", "/readyz", "/v1/jobs"}
	answers := make(chan map[string]map[string]bool)
	go func() {
		seen := map[string]map[string]bool{"/livez": {}, "/readyz": {}, "/v1/jobs": {}}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			for _, path := range paths {
				seen[path][c.look(ctx, path)] = true
			}
			<-tick.C
		}
		answers <- seen
	}()
	c.start()
	if ready := c.look(ctx, "/readyz"); !strings.HasPrefix(ready, "200 ") {
		t.Errorf("after the line that says ready: %s", ready)
	}
	cancel()
	seen := <-answers
	for path, want := range map[string]string{"/livez": "204 ", "/readyz": "503 ", "/v1/jobs": "503 "} {
		found := false
		for answer := range seen[path] {
			found = found || strings.HasPrefix(answer, want) && (path == "/livez" || strings.Contains(answer, " % done"))
		}
		if !found {
			t.Errorf("%s answered %v, expected %s", path, seen[path], want)
		}
	}
}
