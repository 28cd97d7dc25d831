package api

import (
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

// A reader that stopped does not hold up the server's stop.
func TestAReaderThatStoppedDoesNotHoldUpTheStop(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	s.start(j.ID, 1).print(1, strings.Repeat("x", 16<<20)) // more than any buffer between them
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /v1/jobs/%s/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: %s\r\n\r\n",
		j.ID, s.token("default", token.Viewer), streamType); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1<<20)); err != nil { // and no more
		t.Fatal(err)
	}
	close(s.stop)
	s.stop = make(chan struct{}) // closed again at the end
	began := time.Now()
	if err := s.web.Shutdown(t.Context()); err != nil || time.Since(began) > 20*stopWrite {
		t.Errorf("it took %s to stop: %v", time.Since(began), err)
	}
}
