package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// board is a terminal that shows what was written to it, frame by frame.
type board struct {
	mu     sync.Mutex
	frames []string
}

func (b *board) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frames = append(b.frames, string(p))
	return len(p), nil
}

// until waits for a frame with a text after the first n, and returns how many there
// are then, and it.
func (b *board) until(t *testing.T, n int, text string) (int, string) {
	t.Helper()
	frame := ""
	eventually(t, commandLimit, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i := n; i < len(b.frames); i++ {
			if strings.Contains(b.frames[i], text) {
				n, frame = i+1, b.frames[i]
				return nil
			}
		}
		return fmt.Errorf("no frame shows %q: %q", text, b.frames)
	})
	return n, frame
}

// unsteady is a cluster whose job changes when it is told to.
type unsteady struct {
	mu    sync.Mutex
	state string
	asked int // how often for jobs

	changes chan string // what is told next: a kind, or cut
}

func (c *unsteady) become(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
}

func (c *unsteady) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/jobs", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked++
		answer(w, 200, wire.Jobs{Items: []wire.Job{{ID: "7f3k9qd2", Name: "make", State: c.state, Submitted: fakeNow}}, Counts: wire.Counts{Running: 1}})
	})
	mux.HandleFunc("GET /v1/changes", func(w http.ResponseWriter, r *http.Request) {
		out := sse.NewWriter(w)
		out.Event("reset", "1", []byte(`{"position":1}`))
		_ = out.Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case kind := <-c.changes:
				if kind == "cut" {
					return
				}
				out.Event(kind, "2", []byte(`{}`))
				_ = out.Flush()
			}
		}
	})
	return mux
}

// With --watch a list is shown again in its place when something has changed, and
// asked for only then; it goes on when the connection was lost.
func TestWatchedListsAreShownInPlace(t *testing.T) {
	f := isolate(t)
	c := &unsteady{state: "pending", changes: make(chan string)}
	f.Config.Handler = c.handler()
	ctx, cancel := context.WithCancel(t.Context())
	b := &board{}
	style := term.Style{Terminal: true, Redraws: true, Unicode: true, Width: 80}
	a := &app{stdout: b, stderr: b, detected: func(io.Writer) term.Style { return style }}
	code := make(chan int, 1)
	go func() { code <- a.run(ctx, []string{"job", "list", "--watch"}) }()
	n, first := b.until(t, 0, "○ pending")
	if strings.Contains(first, "A\r") || !strings.HasSuffix(first, "\x1b[J\x1b[?7h") {
		t.Errorf("the first frame is %q", first)
	}
	c.become("running")
	c.changes <- "job"
	n, second := b.until(t, n, "▶ running")
	if !strings.HasPrefix(second, "\x1b[?7l\x1b[3A\r") {
		t.Errorf("the second frame does not go over the first: %q", second)
	}
	c.mu.Lock()
	if c.asked != 2 {
		t.Errorf("it was asked %d times for 2 changes", c.asked)
	}
	c.mu.Unlock()
	n, _ = b.until(t, n, "▶ running") // ages are written anew
	c.mu.Lock()
	if c.asked != 2 {
		t.Errorf("it was asked %d times for 2 changes", c.asked)
	}
	c.mu.Unlock()
	c.changes <- "cut"
	c.become("succeeded")
	b.until(t, n, "✓ succeeded")
	cancel()
	if got := <-code; got != exitOK {
		t.Errorf("interrupted it exits with %d", got)
	}
}

// A frame is never higher than the terminal.
func TestAFrameFitsTheTerminal(t *testing.T) {
	b := &board{}
	style := term.Style{Terminal: true, Redraws: true, Width: 80}
	a := &app{stdout: b, stderr: b, detected: func(io.Writer) term.Style { return style }}
	w := &watcher{app: a, out: b, errOut: b}
	w.show = func() error { _, err := io.WriteString(a.stdout, strings.Repeat("line\n", 100)); return err }
	if err := w.frame(); err != nil || strings.Count(b.frames[0], "\n") != watchHeight-1 || !strings.Contains(b.frames[0], "… and 78 lines more") {
		t.Errorf("%v: %q", err, b.frames)
	}
}
