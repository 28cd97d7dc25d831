package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/sse"
)

func TestAStreamIsAskedForByName(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/event-stream": true, "TEXT/Event-Stream": true, "text/event-stream;q=0": false, "text/event-stream-x": false,
		"application/json, text/event-stream;q=0.5": false, "application/json;q=0.5,text/event-stream": true, "text/event-stream, */*;q=0.1": true,
		"text/event-stream;q=x": false, ",,;": false,
	} {
		if got := prefers(accept, streamType); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	for _, path := range []string{"/v1/events", "/v1/jobs/" + j.ID + "/logs"} {
		for _, accept := range []string{streamType, "*/*"} {
			if v := s.get(path, s.token(token.AllNamespaces, token.Viewer), "Accept", accept).Header.Get("Vary"); v != "Accept" {
				t.Errorf("%s as %s varies by %q", path, accept, v)
			}
		}
	}
}

// A stream that is never idle ends with its token too.
func TestABusyStreamEndsWithItsToken(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as a token is not looked at")
	}
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	plain, i := s.create(token.Create{Name: "short", Namespace: token.AllNamespaces, Role: token.Viewer})
	a := s.start(j.ID, 1)
	readers := []*sse.Reader{s.events("/v1/jobs/"+j.ID+"/logs", plain), s.events("/v1/events", plain)}
	if _, err := s.commands.RevokeToken(t.Context(), tester, i, ""); err != nil {
		t.Fatal(err)
	}
	var over sync.WaitGroup
	ended := make(chan struct{})
	for _, r := range readers {
		over.Go(func() {
			for {
				if _, err := r.Next(); err != nil {
					return
				}
			}
		})
	}
	go func() { over.Wait(); close(ended) }()
	c := s.admin()
	for limit := time.After(3 * tokenLook); ; {
		select {
		case <-ended:
			return
		case <-limit:
			t.Fatal("a stream goes on though its token was revoked")
		default:
			a.print(1, "chatter\n")
			s.submit(c, `{"command":"x"}`)
		}
	}
}

// unread opens an answer and reads a part of it, and no more.
func (s *site) unread(path, plain, accept string) net.Conn {
	s.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: %s\r\n\r\n", path, plain, accept); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1<<20)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// A reader that stopped does not hold up the server's stop, whether it follows,
// reads or searches; and what it got is not whole.
func TestAReaderThatStoppedDoesNotHoldUpTheStop(t *testing.T) {
	for _, row := range []struct{ name, query, accept string }{
		{"a stream", "", streamType}, {"bytes", "", "*/*"}, {"a range", "?download=true", "*/*\r\nRange: bytes=1-"}, {"text with numbers", "?line_numbers=true", "*/*"}, {"what was found", "?grep=x", "*/*"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t)
			j := s.submit(s.admin(), `{"command":"x"}`)
			line := strings.Repeat("x", 1023) + "\n"
			s.start(j.ID, 1).print(1, strings.Repeat(line, 16<<10)) // more than any buffer between them
			conn := s.unread("/v1/jobs/"+j.ID+"/logs"+row.query, s.token("default", token.Viewer), row.accept)
			close(s.stop)
			s.stop = make(chan struct{}) // closed again at the end
			began := time.Now()
			if err := s.web.Shutdown(t.Context()); err != nil || time.Since(began) > 20*stopWrite {
				t.Errorf("it took %s to stop: %v", time.Since(began), err)
			}
			if rest, err := io.ReadAll(conn); err == nil && row.accept != streamType && (len(rest)+1<<20 >= 16<<20 || strings.HasSuffix(string(rest), "\r\n0\r\n\r\n")) {
				t.Errorf("%d bytes look whole", len(rest))
			}
		})
	}
}

// A search ends when the server stops, though it writes nothing.
func TestASearchEndsWithTheServer(t *testing.T) {
	s := newSite(t)
	ctx, end, err := s.server.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	close(s.stop)
	s.stop = make(chan struct{}) // closed again at the end
	<-ctx.Done()
	end()
	if !errors.Is(ctx.Err(), context.Canceled) || s.server.searches.Load() != 0 {
		t.Errorf("it ended with %v, %d are under way", ctx.Err(), s.server.searches.Load())
	}
}

// A text ends with its token too.
func TestATextEndsWithItsToken(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as a token is not looked at")
	}
	s := newSite(t)
	plain, i := s.create(token.Create{Name: "short", Namespace: token.AllNamespaces, Role: token.Viewer})
	j := s.submit(s.admin(), `{"command":"x"}`)
	s.start(j.ID, 1).print(1, strings.Repeat("x", 16<<20))
	s.unread("/v1/jobs/"+j.ID+"/logs", plain, "*/*")
	if _, err := s.commands.RevokeToken(t.Context(), tester, i, ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*tokenLook)
	defer cancel()
	if err := s.web.Shutdown(ctx); err != nil { // it waits for all answers
		t.Errorf("it goes on: %v", err)
	}
}
