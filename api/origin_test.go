package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/eventstore"
)

// metadata is that of all events after a position.
func (s *site) metadata(after eventstore.Position) (all []*eventv1.Metadata) {
	s.t.Helper()
	records, _, err := s.store.ReadAll(s.t.Context(), nil, after+1, 1000, eventstore.Filter{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range records {
		m, err := event.DecodeMetadata(r.Metadata)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// Whatever is changed over HTTP, its events say who asked, through what and by
// which request, and the server tells of that request from where it came.
func TestEveryChangeSaysWhoAndFromWhere(t *testing.T) {
	s := newSite(t)
	var told bytes.Buffer
	s.server.Logger = slog.New(slog.NewJSONHandler(&told, nil))
	handler, _ := s.server.routes()
	plain, maker := s.create(token.Create{Name: "test", Namespace: token.AllNamespaces, Role: token.Admin})
	_, spare := s.create(token.Create{Name: "spare", Namespace: "web", Role: token.Viewer})
	link, _, err := s.server.Links.Mint(must(t, s, plain))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ method, path, body, source string }{
		{"POST", "/v1/jobs", `{"command":"true"}`, "api"},
		{"PUT", "/v1/secrets/db", `{"value":"x"}`, "api"},
		{"POST", "/v1/tokens", `{"name":"n","role":"viewer"}`, "api"},
		{"DELETE", "/v1/tokens/" + spare.String(), "", "api"},
		{"POST", "/v1/namespaces", `{"name":"ml"}`, "api"},
		{"POST", "/v1/namespaces/ml/pause", `{}`, "api"},
		{"POST", "/v1/session", "", "api"},
		{"GET", link, "", "login"},
	} {
		before, _ := s.store.Wait()
		told.Reset()
		r := httptest.NewRequestWithContext(t.Context(), row.method, row.path, strings.NewReader(row.body))
		r.RemoteAddr = "127.0.0.1:5000"
		r.Header.Set("X-Forwarded-For", "1.2.3.4, 10.0.4.17")
		r.Header.Set("Authorization", "Bearer "+plain)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		all := s.metadata(before)
		if w.Code >= 400 || len(all) == 0 {
			t.Fatalf("%s %s: %d %s", row.method, row.path, w.Code, w.Body)
		}
		var line struct{ Request_ID, Actor, From, Path string } //nolint:revive // the names in the line
		for text := range strings.Lines(told.String()) {
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range all {
			if m.GetActor() != maker.String() || m.GetSource() != row.source || len(m.GetRequestId()) != 16 {
				t.Errorf("%s %s: its event is by %v", row.method, row.path, m)
				continue
			}
			if line.Request_ID != uuid.UUID(m.GetRequestId()).String() || line.Actor != maker.String() || line.From != "10.0.4.17" {
				t.Errorf("%s %s is told as %s", row.method, row.path, told.String())
			}
			if bytes.Contains(event.EncodeMetadata(m), []byte("10.0.4.17")) {
				t.Error("an address is in the log")
			}
		}
	}
}

// must is the hash of a token.
func must(t *testing.T, s *site, plain string) [32]byte {
	t.Helper()
	p := new(principal)
	if bad := s.server.identify("Bearer "+plain, p); bad != nil {
		t.Fatal(bad)
	}
	return p.hash
}

func TestWhoseAddressIsBelieved(t *testing.T) {
	for _, row := range [][3]string{
		{"10.1.1.1:99", "", "10.1.1.1"}, {"10.1.1.1:99", "6.6.6.6", "10.1.1.1"}, {"127.0.0.1:99", "", "127.0.0.1"},
		{"[::1]:99", "6.6.6.6,2001:db8::7", "2001:db8::7"}, {"127.0.0.1:99", "a\nb", "127.0.0.1"}, {"@", "6.6.6.6", "@"},
	} {
		if got := origin(row[0], row[1]); got != row[2] {
			t.Errorf("from %s, for %q: %s", row[0], row[1], got)
		}
	}
}
