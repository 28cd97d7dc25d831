package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/token"
)

// unsent sends a request whose body never comes, and returns the answer and how
// long the connection was held.
func (s *site) unsent(method, path, plain, framing string) (*http.Response, time.Duration, error) {
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	began := time.Now()
	if err := conn.SetDeadline(began.Add(2 * bodyTimeout)); err != nil {
		return nil, 0, err
	}
	if plain != "" {
		framing += "\r\nAuthorization: Bearer " + plain
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", method, path, framing); err != nil {
		return nil, 0, err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, time.Since(began), err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, time.Since(began), err
	}
	_, err = io.Copy(io.Discard, r) // until the server closes
	return resp, time.Since(began), err
}

// A body that is never sent holds no connection for long, with a token or without,
// on any route.
func TestABodyThatIsNeverSent(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	plain := s.token(token.AllNamespaces, token.Admin)
	var group sync.WaitGroup
	for _, route := range append(routes(s.document), "POST /nowhere", "GET /docs") {
		method, path, _ := strings.Cut(route, " ")
		path = strings.ReplaceAll(path, "{id}", j.ID)
		for _, framing := range []string{"Content-Length: 1000", "Content-Length: 9000000", "Transfer-Encoding: chunked"} {
			for _, token := range []string{"", plain} {
				limit := drainTime + 5*time.Second
				if _, read := bodies[route]; read && token != "" && !strings.Contains(framing, "9000000") {
					if testing.Short() {
						continue // it is waited for
					}
					limit += bodyTimeout
				}
				group.Go(func() {
					resp, took, err := s.unsent(method, path, token, framing)
					if err != nil || resp.StatusCode < 400 || resp.StatusCode >= 500 || !resp.Close || took > 2*limit {
						t.Errorf("%s with %s: %+v after %s: %v", route, framing, resp, took, err)
					}
				})
			}
		}
	}
	group.Wait()
}

// A client that is slow to send its body does not hold up a server that stops.
func TestASlowBodyDoesNotHoldUpTheStop(t *testing.T) {
	s := newSite(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n", s.token("default", token.Submitter)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusContinue { // it is reading now
		t.Fatal(resp, err)
	}
	if _, err := io.WriteString(conn, "{"); err != nil {
		t.Fatal(err)
	}
	close(s.stop)
	s.stop = make(chan struct{}) // closed again at the end
	ctx, cancel := context.WithTimeout(t.Context(), bodyTimeout/2)
	defer cancel()
	if err := s.web.Shutdown(ctx); err != nil {
		t.Errorf("the body is waited for: %v", err)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := readAll(resp); resp.StatusCode != http.StatusRequestTimeout || resp.Header.Get("Content-Type") != problemType || !strings.Contains(text, "did not arrive in time") {
		t.Errorf("answered with %s, %s, %v", resp.Status, text, err)
	}
}

// A connection whose body was read is used again, and a slow answer is not cut off
// by the time a body has.
func TestAConnectionIsUsedAgain(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/jobs", strings.NewReader(`{"command":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+plain)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated || resp.Close {
		t.Errorf("%s, closed %v", resp.Status, resp.Close)
	}
}
