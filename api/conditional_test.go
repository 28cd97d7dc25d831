package api

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

func TestWhatAClientHasIsNotSentAgain(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	s.submit(s.admin(), `{"command":"x","requires":{"gpu":"a100"}}`)
	first := s.get("/v1/events?limit=5", plain)
	tag := first.Header.Get("ETag")
	if tag == "" || first.Header.Get("Cache-Control") != "private, no-cache" {
		t.Fatalf("the first answer has %v", first.Header)
	}
	again := s.get("/v1/events?limit=5", plain, "If-None-Match", `"other", `+tag)
	if body, _ := io.ReadAll(again.Body); again.StatusCode != http.StatusNotModified || len(body) > 0 || again.Header.Get("ETag") != tag {
		t.Errorf("again: %s, %q, %v", again.Status, body, again.Header)
	}
	if other := s.get("/v1/events?limit=1", plain, "If-None-Match", tag); other.StatusCode != http.StatusOK || other.Header.Get("ETag") == tag {
		t.Errorf("another answer: %s, %v", other.Status, other.Header)
	}
	if refused := s.get("/v1/events?limit=0", plain, "If-None-Match", "*"); refused.StatusCode != http.StatusUnprocessableEntity || refused.Header.Get("ETag") != "" {
		t.Errorf("a refusal: %s, %v", refused.Status, refused.Header)
	}
}

func TestAnswersAreCompressed(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	for range 20 {
		s.submit(s.admin(), `{"command":"x"}`)
	}
	_, _, want := s.request("GET", "/v1/events", plain, "")
	resp := s.get("/v1/events", plain, "Accept-Encoding", "gzip")
	if resp.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(strings.Join(resp.Header.Values("Vary"), ","), "Accept-Encoding") {
		t.Fatalf("%v", resp.Header)
	}
	in, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(in); err != nil || string(got) != string(want) {
		t.Errorf("%d bytes, want %d: %v", len(got), len(want), err)
	}
	stream := s.get("/v1/events", plain, "Accept-Encoding", "gzip", "Accept", streamType)
	if stream.Header.Get("Content-Encoding") != "" || stream.Header.Get("ETag") != "" {
		t.Errorf("a stream has %v", stream.Header)
	}
}

func TestReadsOfAPosition(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	one := s.submit(s.admin(), `{"command":"x"}`)
	at := strconv.FormatUint(one.Position, 10)
	if status, _, body := s.request("GET", "/v1/jobs?limit=1&min_position="+at, plain, ""); status != http.StatusOK || decode[wire.Jobs](t, body).Items[0].ID != one.ID {
		t.Errorf("%d: %s", status, body)
	}
	if status, _, body := s.request("GET", "/v1/jobs?min_position=soon", plain, ""); status != http.StatusUnprocessableEntity || !strings.Contains(string(body), "query.min_position") {
		t.Errorf("%d: %s", status, body)
	}
	if status, _, body := s.request("GET", "/v1/jobs?min_position=99999", plain, ""); status != http.StatusServiceUnavailable || !strings.Contains(string(body), "event #99999 has not come here in 5s") {
		t.Errorf("%d: %s", status, body)
	}
	if status, _, body := s.request("GET", "/v1/jobs?min_position=99999", "", ""); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d: %s", status, body)
	}
}
